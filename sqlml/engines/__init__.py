"""One file a database engine, each meeting the Engine protocol."""
