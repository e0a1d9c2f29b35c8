CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE orders_writer NOLOGIN;
CREATE ROLE sallyport LOGIN CREATEROLE PASSWORD 'the-gateway';
GRANT orders_writer TO sallyport WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
GRANT orders_owner TO sallyport WITH INHERIT TRUE, SET TRUE;
GRANT orders_owner TO orders_writer;
GRANT CREATE, CONNECT, TEMPORARY ON DATABASE orders TO orders_owner;
ALTER SCHEMA public OWNER TO orders_owner;

SET ROLE orders_owner;
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TYPE place AS (city text, zip int);
CREATE TABLE people (
  id int PRIMARY KEY,
  name text NOT NULL,
  secret text,
  pin int,
  born date,
  profile jsonb,
  notes text,
  account bigint,
  rate numeric,
  tags text[],
  raw bytea,
  span int4range,
  doc json,
  home place,
  mood mood,
  seen timestamptz
);
CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people, kind text, mark text, "a b" text, body text);
CREATE TABLE plain (id int PRIMARY KEY, total int, label text, c text COLLATE "C", p text COLLATE "POSIX");
CREATE TABLE brood (id int, mark text);
CREATE TABLE hatch (extra text) INHERITS (brood);
CREATE TABLE years (id int, mark text, year int) PARTITION BY LIST (year);
CREATE TABLE years1 PARTITION OF years FOR VALUES IN (1);
CREATE TABLE years2 PARTITION OF years FOR VALUES IN (2);
CREATE VIEW reach AS SELECT id, secret AS contact, upper(secret) AS loud, pin, name FROM people;
CREATE VIEW over AS SELECT r.id, r.contact || '!' AS contact, v.kind, v.mark FROM reach r JOIN visits v ON v.person = r.id;
CREATE VIEW star AS SELECT * FROM people p JOIN visits v USING (id);
CREATE VIEW chosen AS SELECT id, CASE WHEN secret LIKE 'a%' THEN 'yes' ELSE 'no' END AS early, name FROM people;
CREATE MATERIALIZED VIEW kept AS SELECT id, secret AS contact, name FROM people WITH NO DATA;
