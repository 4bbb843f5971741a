"""Feature transforms, one operator a file, and the program that runs them."""
