import java.io.StringReader;
import java.io.StringWriter;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;

/** What pgJDBC does in everyday use, printed line by line: the same lines are expected whatever it is connected to. */
public final class Jdbc {
  private static final String CREATE =
      "CREATE TEMP TABLE things (id serial PRIMARY KEY, name text, total numeric(10,2), made timestamptz, tags int[], raw bytea)";

  public static void main(String[] args) throws Exception {
    try (Connection connection = connect(args.length > 1 ? args[1] : "prefer", 1)) {
      if (args[0].equals("lo")) largeObjects(connection);
      else everyday(connection);
    }
  }

  private static Connection connect(String sslmode, int threshold) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("password", System.getenv("PGPASSWORD"));
    properties.setProperty("sslmode", sslmode);
    properties.setProperty("prepareThreshold", String.valueOf(threshold));
    String place = System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    return DriverManager.getConnection("jdbc:postgresql://" + place, properties);
  }

  private static void everyday(Connection connection) throws Exception {
    say("product", connection.getMetaData().getDatabaseProductName());
    prepared(connection);
    batch(connection);
    forced();
    cursor(connection);
    savepoint(connection);
    errors(connection);
    copy(connection);
    metadata(connection);
    notifications(connection);
    cancel(connection);
  }

  private static void prepared(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(CREATE);
    }
    String insert = "INSERT INTO things (name, total, made, tags, raw) VALUES (?, ?, ?::timestamptz, ?, ?)";
    try (PreparedStatement statement = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
      for (int i = 0; i < 7; i++) {
        statement.setString(1, i == 3 ? null : "name " + i + " é😀");
        statement.setBigDecimal(2, new java.math.BigDecimal("1.5").multiply(java.math.BigDecimal.valueOf(i)));
        statement.setString(3, "2026-01-0" + (i + 1) + " 12:00:00+00");
        statement.setArray(4, connection.createArrayOf("int4", new Integer[] {i, null, -i}));
        statement.setBytes(5, new byte[] {0, (byte) i, (byte) 255});
        statement.executeUpdate();
        try (ResultSet keys = statement.getGeneratedKeys()) {
          keys.next();
          say("key", keys.getInt(1));
        }
      }
    }
    select(connection);
  }

  private static void select(Connection connection) throws SQLException {
    String text = "SELECT id, name, total, made, tags, raw, id::float8 / 3 FROM things WHERE id >= ? ORDER BY id";
    try (PreparedStatement statement = connection.prepareStatement(text)) {
      for (int turn = 0; turn < 7; turn++) {
        statement.setInt(1, turn);
        try (ResultSet rows = statement.executeQuery()) {
          while (rows.next())
            say("row", rows.getInt(1), rows.getString(2), rows.getBigDecimal(3), rows.getTimestamp(4).toInstant(),
                rows.getArray(5), Arrays.toString(rows.getBytes(6)), rows.getDouble(7));
        }
      }
    }
  }

  /** A threshold of -1: every statement is prepared by name and every result binary from the first time on. */
  private static void forced() throws SQLException {
    try (Connection connection = connect("prefer", -1);
        PreparedStatement statement = connection.prepareStatement("SELECT ?::int8, ?::bool, ?::date, now() IS NOT NULL")) {
      for (int turn = 0; turn < 2; turn++) {
        statement.setLong(1, 1L << 40);
        statement.setBoolean(2, true);
        statement.setObject(3, java.time.LocalDate.of(2026, 1, 31));
        try (ResultSet row = statement.executeQuery()) {
          row.next();
          say("forced", row.getLong(1), row.getBoolean(2), row.getObject(3), row.getBoolean(4));
        }
      }
    }
  }

  private static void batch(Connection connection) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO things (name) VALUES (?)")) {
      for (int i = 0; i < 1000; i++) {
        statement.setString(1, "batch " + i);
        statement.addBatch();
      }
      say("batch", Arrays.stream(statement.executeBatch()).sum());
    }
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO things (id) VALUES (?)")) {
      for (int id : new int[] {100_000, 1, 100_001}) {
        statement.setInt(1, id);
        statement.addBatch();
      }
      statement.executeBatch();
    } catch (BatchUpdateException failure) {
      say("batch failed", failure.getSQLState(), Arrays.toString(failure.getUpdateCounts()));
    }
  }

  private static void cursor(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (PreparedStatement statement = connection.prepareStatement("SELECT i FROM generate_series(1, 1000) AS i")) {
      statement.setFetchSize(70);
      long sum = 0;
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) sum += rows.getInt(1);
      }
      say("cursor", sum);
    }
    connection.commit();
    connection.setAutoCommit(true);
  }

  private static void savepoint(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.executeUpdate("UPDATE things SET name = 'one' WHERE id = 1");
      Savepoint savepoint = connection.setSavepoint("here");
      try {
        statement.executeUpdate("UPDATE things SET id = 2 WHERE id = 1");
      } catch (SQLException failure) {
        say("unique", failure.getSQLState());
        connection.rollback(savepoint);
      }
      connection.commit();
      try (ResultSet row = statement.executeQuery("SELECT name FROM things WHERE id = 1")) {
        row.next();
        say("kept", row.getString(1));
      }
    }
    connection.rollback();
    connection.setAutoCommit(true);
  }

  private static void errors(Connection connection) throws SQLException {
    for (String text : new String[] {"SELEC 1", "SELECT nothing", "SELECT * FROM nowhere", "SELECT 1/0"}) {
      try (Statement statement = connection.createStatement()) {
        statement.execute(text);
      } catch (SQLException failure) {
        var message = ((PSQLException) failure).getServerErrorMessage();
        say("error", failure.getSQLState(), message.getMessage(), message.getPosition());
      }
    }
  }

  private static void copy(Connection connection) throws Exception {
    CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
    say("copied in", copies.copyIn("COPY things (id, name) FROM STDIN", new StringReader("5000\ta\n5001\t\\N\n")));
    StringWriter out = new StringWriter();
    say("copied out", copies.copyOut("COPY (SELECT id, name FROM things WHERE id >= 5000) TO STDOUT CSV", out));
    say("copy", out.toString().replace("\n", ";"));
  }

  private static void metadata(Connection connection) throws SQLException {
    try (ResultSet columns = connection.getMetaData().getColumns(null, "public", "customers", null)) {
      while (columns.next()) say("column", columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME"));
    }
    try (ResultSet keys = connection.getMetaData().getPrimaryKeys(null, "public", "orders")) {
      while (keys.next()) say("primary key", keys.getString("COLUMN_NAME"));
    }
    try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM public.customers WHERE name = ?")) {
      say("parameters", statement.getParameterMetaData().getParameterTypeName(1));
      say("results", statement.getMetaData().getColumnTypeName(1), statement.getMetaData().getColumnType(1) == Types.INTEGER);
    }
  }

  private static void notifications(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("LISTEN news");
      statement.execute("NOTIFY news, 'hello'");
    }
    var notification = connection.unwrap(PGConnection.class).getNotifications(5000)[0];
    say("notified", notification.getName(), notification.getParameter());
  }

  private static void cancel(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      Thread canceller = new Thread(() -> {
        try {
          Thread.sleep(500);
          statement.cancel();
        } catch (Exception failure) {
          say("cancel", failure);
        }
      });
      canceller.start();
      try {
        statement.execute("SELECT pg_sleep(30)");
      } catch (SQLException failure) {
        say("cancelled", failure.getSQLState());
      }
      canceller.join();
      statement.execute("SELECT 1");
    }
  }

  private static void largeObjects(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    LargeObjectManager objects = connection.unwrap(PGConnection.class).getLargeObjectAPI();
    long oid = objects.createLO(LargeObjectManager.READWRITE);
    try (LargeObject object = objects.open(oid, LargeObjectManager.WRITE)) {
      object.write("some text".getBytes());
    }
    try (LargeObject object = objects.open(oid, LargeObjectManager.READ)) {
      say("large object", object.size(), new String(object.read(100)));
    }
    objects.unlink(oid);
    connection.commit();
  }

  private static void say(String what, Object... values) {
    System.out.println(what + ": " + String.join(" | ", Arrays.stream(values).map(String::valueOf).toList()));
  }
}
