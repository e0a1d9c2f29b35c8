"""What psycopg 3 and psycopg2 do in everyday use, printed line by line: the same is expected whatever they connect to."""

import io
import logging
import sys
import threading
import time


logging.disable(logging.CRITICAL)


def say(what, *values):
    print(f"{what}: {' | '.join(repr(value) for value in values)}")


def cancel_later(connection):
    def cancel():
        time.sleep(0.5)
        connection.cancel()

    threading.Thread(target=cancel).start()


def psycopg3():
    import psycopg
    from psycopg.types.json import Jsonb

    with psycopg.connect(autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE things (id serial PRIMARY KEY, name text, total numeric, extra jsonb, raw bytea)")
        insert = "INSERT INTO things (name, total, extra, raw) VALUES (%s, %s, %s, %b) RETURNING id"
        for turn in range(8):
            row = connection.execute(insert, (f"é😀 {turn}", turn / 4, Jsonb({"n": turn}), bytes([0, turn, 255])), prepare=True)
            say("inserted", row.fetchone())
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                for _ in range(2):
                    cursor.execute("SELECT * FROM things WHERE id > %s ORDER BY id", (3,), prepare=True)
                    say("rows", binary, cursor.fetchall())
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO things (name) VALUES (%s)", [(f"many {n}",) for n in range(300)])
            say("many", cursor.rowcount)
            with cursor.copy("COPY things (id, name) FROM STDIN") as copy:
                for number in range(5000, 5100):
                    copy.write_row((number, None if number % 2 else f"row\t{number}"))
            with cursor.copy("COPY things (id, name) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "text"])
                copy.write_row((6000, "binary"))
            with cursor.copy("COPY (SELECT id, name FROM things WHERE id >= 5098 ORDER BY id) TO STDOUT") as copy:
                say("copied", list(copy.rows()))
            with cursor.copy("COPY (SELECT 1::int4, 'a'::text) TO STDOUT (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "text"])
                say("copied as binary", list(copy.rows()))
        with connection.transaction(), connection.cursor(name="portal") as cursor:
            cursor.itersize = 70
            cursor.execute("SELECT i FROM generate_series(1, 1000) AS i")
            say("server-side cursor", sum(i for (i,) in cursor))
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int + 1", (n,)) for n in range(10)]
            say("pipeline", [cursor.fetchone() for cursor in cursors])
        try:
            with connection.pipeline():
                connection.execute("INSERT INTO things (id) VALUES (90001)")
                connection.execute("SELECT 1/0")
                connection.execute("INSERT INTO things (id) VALUES (90002)")
        except psycopg.Error as error:
            say("pipeline failed", error.sqlstate)
        say("left", connection.execute("SELECT count(*) FROM things WHERE id > 90000").fetchall())
        try:
            with connection.transaction():
                connection.execute("INSERT INTO things (id) VALUES (70000)")
                with connection.transaction():
                    connection.execute("SELECT nothing")
        except psycopg.Error as error:
            say("error", error.sqlstate, error.diag.message_primary, error.diag.statement_position)
        say("rolled back", connection.execute("SELECT count(*) FROM things WHERE id = 70000").fetchall())
        connection.execute("LISTEN news")
        with psycopg.connect(autocommit=True) as other:
            other.execute("NOTIFY news, 'hello'")
        notice = next(connection.notifies())
        say("notified", notice.channel, notice.payload)
        cancel_later(connection)
        try:
            connection.execute("SELECT pg_sleep(30)")
        except psycopg.Error as error:
            say("cancelled", error.sqlstate)
        say("alive", connection.execute("SELECT 1").fetchall())


def psycopg2():
    import psycopg2
    from psycopg2.extras import execute_values

    connection = psycopg2.connect("")
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE things (id serial PRIMARY KEY, name text, raw bytea)")
    execute_values(cursor, "INSERT INTO things (name, raw) VALUES %s", [(f"é😀 {n}", bytes([n])) for n in range(250)])
    cursor.copy_expert("COPY things (id, name) FROM STDIN CSV", io.StringIO("5000,a\n5001,\n"))
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT id, name FROM things WHERE id < 4 OR id >= 5000 ORDER BY id) TO STDOUT", out)
    say("copied", out.getvalue())
    connection.commit()
    named = connection.cursor(name="portal")
    named.itersize = 70
    named.execute("SELECT i FROM generate_series(1, 1000) AS i")
    say("named cursor", sum(i for (i,) in named))
    connection.commit()
    try:
        cursor.execute("SELECT nothing")
    except psycopg2.Error as error:
        say("error", error.pgcode, error.pgerror)
    connection.rollback()
    connection.set_session(isolation_level="SERIALIZABLE")
    cursor.execute("SHOW transaction_isolation")
    say("isolation", cursor.fetchall())
    connection.rollback()
    connection.set_session(autocommit=True)
    cursor.execute("LISTEN news; NOTIFY news, 'hello'")
    connection.poll()
    say("notified", [(notice.channel, notice.payload) for notice in connection.notifies])
    cancel_later(connection)
    try:
        cursor.execute("SELECT pg_sleep(30)")
    except psycopg2.Error as error:
        say("cancelled", error.pgcode)
    cursor.execute("SELECT 1")
    say("alive", cursor.fetchall())


def large_objects():
    import psycopg2

    connection = psycopg2.connect("")
    made = connection.lobject(0, "wb")
    made.write(b"some text")
    made.close()
    read = connection.lobject(made.oid, "rb")
    say("large object", read.read())
    read.close()
    connection.lobject(made.oid).unlink()
    connection.commit()


{"psycopg3": psycopg3, "psycopg2": psycopg2, "lo": large_objects}[sys.argv[1]]()
