import java.sql.*;
public class Gateway {
  static final String SCORES = "SELECT id, PREDICT(leaves, id % 3 AS r, amount) AS p FROM churn WHERE id < ? ORDER BY id";
  public static void main(String[] a) throws Exception {
    try (Connection c = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + a[0] + "/fleet?user=postgres")) {
      PreparedStatement p = c.prepareStatement(SCORES);
      for (int i = 1; i < 9; i++) { p.setInt(1, i); ResultSet r = p.executeQuery(); int n = 0; while (r.next()) n += r.getBoolean(2) ? 1 : 0; System.out.print(n + " "); }
      System.out.println();
      c.setAutoCommit(false);
      PreparedStatement f = c.prepareStatement(SCORES); f.setFetchSize(10); f.setInt(1, 100);
      ResultSet r = f.executeQuery(); int n = 0; while (r.next()) n++; System.out.println("rows " + n);
      Statement s = c.createStatement();
      s.execute("CREATE TABLE jdbc_rows (a int)");
      ResultSet m = s.executeQuery("SHOW MODELS"); n = 0; while (m.next()) n++; System.out.println("models " + n);
      s.execute("CREATE MODEL jdbc_made OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], num_iterations = 3, "
        + "num_threads = 1) AS SELECT id % 3 AS r, amount, gone FROM churn");
      m = s.executeQuery("SELECT count(*) FROM ML.PREDICT(MODEL jdbc_made, (SELECT id % 3 AS r, amount FROM churn))"); m.next();
      System.out.println("scored " + m.getInt(1));
      Savepoint back = c.setSavepoint();
      try { s.executeQuery("SELECT PREDICT(nope, 1)"); } catch (SQLException e) { System.out.println("error " + e.getSQLState()); }
      c.rollback(back);
      PreparedStatement b = c.prepareStatement("INSERT INTO jdbc_rows SELECT PREDICT(jdbc_made, ? AS r, ? AS amount)::int");
      for (int i = 0; i < 3; i++) { b.setInt(1, i); b.setDouble(2, 1.5); b.addBatch(); }
      System.out.println("batch " + java.util.Arrays.toString(b.executeBatch()));
      c.rollback();
      m = s.executeQuery("SELECT to_regclass('jdbc_rows')"); m.next(); System.out.println("left " + m.getString(1));
      try { s.executeQuery("SELECT PREDICT(jdbc_made, 1, 1)"); } catch (SQLException e) { System.out.println("error " + e.getSQLState()); }
      c.rollback();
    }
  }
}
