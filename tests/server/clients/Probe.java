import java.sql.*;
public class Probe {
  public static void main(String[] a) throws Exception {
    try (Connection c = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + a[0] + "/warehouse?user=ann" + (a.length > 1 ? a[1] : ""))) {
      PreparedStatement p = c.prepareStatement("SELECT id, amount, name, gone, day FROM churn WHERE id = ?");
      for (int i = 0; i < 8; i++) { p.setInt(1, i); ResultSet r = p.executeQuery(); r.next();
        System.out.println(r.getInt(1) + " " + r.getDouble(2) + " " + r.getString(3) + " " + r.getBoolean(4) + " " + r.getDate(5)); }
      DatabaseMetaData m = c.getMetaData();
      ResultSet t = m.getTables(null, "public", "%", new String[]{"TABLE","VIEW"});
      while (t.next()) System.out.println(t.getString("TABLE_NAME") + " " + t.getString("TABLE_TYPE") + " " + t.getString("REMARKS"));
      t = m.getColumns(null, "public", "churn", "%");
      while (t.next()) System.out.println(t.getString("COLUMN_NAME") + " " + t.getString("TYPE_NAME") + " " + t.getInt("DATA_TYPE") + " " + t.getString("REMARKS"));
      t = m.getPrimaryKeys(null, "extra", "metrics"); while (t.next()) System.out.println("key " + t.getString("COLUMN_NAME"));
      c.setAutoCommit(false);
      Statement s = c.createStatement(); s.setFetchSize(100);
      ResultSet r = s.executeQuery("SELECT i FROM numbers"); int n = 0; while (r.next()) n++; System.out.println("rows " + n);
      try { c.createStatement().executeQuery("SELECT missing FROM churn"); } catch (SQLException e) { System.out.println("error " + e.getSQLState()); }
      c.rollback();
      PreparedStatement b = c.prepareStatement("INSERT INTO extra.metrics VALUES (?, ?)");
      for (int i = 0; i < 3; i++) { b.setInt(1, i); b.setBigDecimal(2, new java.math.BigDecimal("1.50")); b.addBatch(); }
      System.out.println("batch " + java.util.Arrays.toString(b.executeBatch())); c.rollback();
    }
  }
}
