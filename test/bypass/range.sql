-- Everything a session may be a member of owns everything: only the gateway stands in the way.
GRANT orders_owner TO orders_writer;
GRANT CREATE ON DATABASE orders TO orders_owner;
ALTER SCHEMA public OWNER TO orders_owner;
CREATE SCHEMA attic AUTHORIZATION orders_owner;

SET ROLE orders_owner;
-- Values that no detector knows: what keeps them back is where they come from.
CREATE TABLE people (
  id int PRIMARY KEY,
  name text NOT NULL,
  secret text UNIQUE,
  pin int CHECK (pin > 0),
  born date,
  profile jsonb,
  notes text DEFAULT '',
  EXCLUDE (pin WITH =)
);
INSERT INTO people VALUES
  (1, 'Ada', 'zqvelvet', 73519264, '1815-12-10', '{"dob": "zqvelvet"}', 'likes tea'),
  (2, 'Grace', 'zqmarble', 91827364, '1906-12-09', '{"dob": "zqmarble"}', 'likes navies');
CREATE VIEW reach AS SELECT id, secret AS contact FROM people;
CREATE MATERIALIZED VIEW reach_kept AS SELECT id, secret AS contact FROM people;
CREATE FUNCTION secret_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT secret FROM public.people WHERE id = $1';

-- Only the child's column is said to be sensitive.
CREATE TABLE brood (id int, mark text);
CREATE TABLE hatch () INHERITS (brood);
INSERT INTO hatch VALUES (1, 'zqvelvet');

CREATE DOMAIN positive AS int CHECK (value > 0);

-- The columns that are generated are not said to be sensitive.
CREATE TABLE marks (
  id int,
  mark text,
  low text GENERATED ALWAYS AS (lower(mark)) STORED,
  high text GENERATED ALWAYS AS (upper(mark)) VIRTUAL
);
CREATE TABLE marks_2 () INHERITS (marks);
CREATE VIEW marks_view AS SELECT id, low AS l, reverse(high) AS h FROM marks;
INSERT INTO marks VALUES (1, 'zqvelvet');
INSERT INTO marks_2 VALUES (2, 'zqmarble');

-- Named by a forbid, so that a bypass of rules shows without any masking.
CREATE TABLE vault (id int PRIMARY KEY, code text NOT NULL);
INSERT INTO vault VALUES (1, 'zqcopper');
CREATE VIEW vault_view AS SELECT id, code FROM vault;

CREATE TABLE ledger (id int PRIMARY KEY, total int NOT NULL, paid boolean NOT NULL DEFAULT true, body text, at timestamptz);
INSERT INTO ledger SELECT n, 0, true, 'row', '2026-01-10' FROM generate_series(1, 3000) n;
CREATE TABLE attic.ledger AS SELECT * FROM ledger;
CREATE TABLE decoy (id int, total int);
INSERT INTO decoy VALUES (1, 0);

-- What a CASCADE of each of the others would reach is named by a forbid.
CREATE TYPE mood AS ENUM ('calm');
CREATE TABLE far (id int PRIMARY KEY);
CREATE TABLE base (id int PRIMARY KEY, far int REFERENCES far ON DELETE CASCADE);
CREATE TABLE above (id int, note text);
CREATE TABLE kept (base int REFERENCES base ON DELETE CASCADE ON UPDATE CASCADE, mood mood) INHERITS (above);
INSERT INTO far VALUES (1);
INSERT INTO base VALUES (1, 1);
INSERT INTO kept VALUES (1, 'kept', 1, 'calm');

-- Cascades and triggers carry values of people to places that no statement names.
CREATE TABLE visits (
  id int PRIMARY KEY,
  kind text NOT NULL,
  secret text REFERENCES people (secret) ON UPDATE CASCADE,
  later int UNIQUE DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO visits VALUES (1, 'quiet', 'zqvelvet', 1), (2, 'quiet', 'zqmarble', 2);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  value text := (SELECT secret FROM public.people WHERE id = 1);
BEGIN
  CASE NEW.kind
    WHEN 'notice' THEN RAISE NOTICE 'it is %', value;
    WHEN 'warning' THEN RAISE WARNING USING MESSAGE = value, DETAIL = value, HINT = value;
    WHEN 'error' THEN RAISE EXCEPTION 'it is %', value USING DETAIL = value, ERRCODE = 'ZZ001';
    WHEN 'names' THEN RAISE EXCEPTION 'x' USING TABLE = value, COLUMN = value, CONSTRAINT = value, DATATYPE = value;
    WHEN 'cast' THEN PERFORM value::int;
    WHEN 'notify' THEN PERFORM pg_notify('news', value);
    WHEN 'channel' THEN PERFORM pg_notify(value, '');
    WHEN 'setting' THEN PERFORM set_config('application_name', value, false);
    WHEN 'zone' THEN PERFORM set_config('TimeZone', '<' || value || '>-1', false);
    WHEN 'path' THEN PERFORM set_config('search_path', value, false);
    ELSE NULL;
  END CASE;
  RETURN NEW;
END $$;
CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON visits FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE late (id int, kind text);
CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION tell();
