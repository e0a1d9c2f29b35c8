CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE orders_writer NOLOGIN;
GRANT CONNECT, TEMPORARY ON DATABASE orders TO orders_writer;
GRANT USAGE, CREATE ON SCHEMA public TO orders_writer, orders_owner;
CREATE ROLE sallyport LOGIN CREATEROLE PASSWORD 'the-gateway';
GRANT orders_writer TO sallyport WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
GRANT orders_owner TO sallyport WITH INHERIT TRUE, SET TRUE;

CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, card text, notes text, balance numeric DEFAULT 0);
INSERT INTO customers VALUES
  (1, 'Ada', 'ada@example.com', '4111111111111111', 'card 4111-1111-1111-1111 on file', 10),
  (2, 'Grace', 'grace@example.com', '5500005555555559', 'prefers e-mail', 20),
  (3, 'Nobody', NULL, NULL, NULL, 30);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers (id), total numeric NOT NULL);
INSERT INTO orders VALUES (10, 1, 99.50), (11, 1, 12.00), (12, 2, 250.00);
CREATE VIEW contacts AS SELECT id, email AS contact FROM customers;
ALTER TABLE customers OWNER TO orders_owner;
ALTER TABLE orders OWNER TO orders_owner;
ALTER VIEW contacts OWNER TO orders_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orders_writer;
