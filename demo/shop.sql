-- A small shop with made-up people. Roles and rights are those of docs/guides/postgres-rights.md.
CREATE ROLE orders_writer NOLOGIN;
CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE sallyport LOGIN CREATEROLE;
GRANT orders_writer TO sallyport WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
GRANT orders_owner TO sallyport WITH INHERIT TRUE, SET TRUE;

REVOKE TEMPORARY ON DATABASE orders FROM PUBLIC;
GRANT CONNECT ON DATABASE orders TO orders_writer;
ALTER SCHEMA public OWNER TO orders_owner;
GRANT USAGE ON SCHEMA public TO orders_writer;
SET ROLE orders_owner;

CREATE TABLE customers (
  id int PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  phone text,
  card text,
  points int NOT NULL DEFAULT 0,
  notes text
);
CREATE TABLE orders (
  id int PRIMARY KEY,
  customer_id int NOT NULL REFERENCES customers,
  status text NOT NULL,
  placed date NOT NULL,
  total numeric(10, 2) NOT NULL DEFAULT 0
);
CREATE TABLE order_lines (
  order_id int REFERENCES orders,
  line int,
  product text NOT NULL,
  quantity int NOT NULL,
  price numeric(8, 2) NOT NULL,
  PRIMARY KEY (order_id, line)
);

INSERT INTO customers
SELECT n + 1,
       first || ' ' || last,
       lower(first || '.' || last) || '@example.net',
       '+1 555 01' || lpad(n::text, 2, '0'),
       -- Numbers that card networks publish for tests: the check digit is right, the card does not exist.
       (ARRAY ['4111111111111111', '5555555555554444', '4242424242424242', '378282246310005', '6011111111111117'])[n % 5 + 1],
       n * 7 % 90 * 10,
       CASE n % 6
         WHEN 0 THEN 'paid by phone with 4242 4242 4242 4242, wants a receipt'
         WHEN 1 THEN 'prefers deliveries in the morning'
         WHEN 2 THEN 'invoices go to billing@' || lower(last) || '.example'
         WHEN 3 THEN NULL
         WHEN 4 THEN 'returned a teapot, refund done'
         ELSE 'new card 5555-5555-5555-4444 since spring'
       END
FROM generate_series(0, 49) AS n,
     LATERAL (SELECT (ARRAY ['Maya', 'Noor', 'Otto', 'Pia', 'Quinn', 'Rosa', 'Sami', 'Tove', 'Uma', 'Viktor'])[n % 10 + 1] AS first,
                     (ARRAY ['Albers', 'Brandt', 'Castro', 'Dorsey', 'Eklund'])[(n + n / 10) % 5 + 1] AS last) AS person;

INSERT INTO orders
SELECT n, n * 13 % 50 + 1, (ARRAY ['open', 'paid', 'shipped', 'shipped', 'refunded'])[n % 5 + 1], date '2026-01-01' + n
FROM generate_series(1, 200) AS n;

INSERT INTO order_lines
SELECT orders.id,
       line,
       (ARRAY ['teapot', 'kettle', 'green tea', 'mug', 'strainer', 'tray'])[(orders.id + line) % 6 + 1],
       (orders.id + line) % 4 + 1,
       (orders.id * line * 37 % 4000 + 300) / 100.0
FROM orders, generate_series(1, orders.id % 3 + 1) AS line;

UPDATE orders SET total = (SELECT sum(quantity * price) FROM order_lines WHERE order_id = orders.id);

CREATE VIEW best_sellers AS
SELECT product, sum(quantity) AS sold, sum(quantity * price) AS revenue
FROM order_lines JOIN orders ON orders.id = order_id
WHERE status <> 'refunded'
GROUP BY product
ORDER BY revenue DESC;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orders_writer;
RESET ROLE;
