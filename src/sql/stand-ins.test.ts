import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sentAt } from './fixtures.ts'

/** Stands for the select list, and FROM, that stand for the columns of `patients`. */
const BEHIND = 'SELECT "id", "name", NULL::text AS "mail", NULL::text AS "born", "notes" FROM'

const REWRITTEN: readonly (readonly [text: string, sent: string])[] = [
  ['SELECT id, name FROM patients', 'as it is'],
  ['SELECT count(*) FROM patients', 'as it is'],
  ['SELECT mail FROM patients', 'SELECT mail FROM (… patients) AS "patients"'],
  ['SELECT * FROM patients', 'SELECT * FROM (… patients) AS "patients"'],
  ['SELECT p.mail AS m, p.id FROM public.patients p', 'SELECT p.mail AS m, p.id FROM (… public.patients) p'],
  ['SELECT mail FROM patients AS p (a, b, mail)', 'SELECT mail FROM (… patients) AS p (a, b, mail)'],
  [
    'SELECT public.patients.mail, public.patients.id FROM public.patients',
    'SELECT patients.mail, patients.id FROM (… public.patients) AS "patients"',
  ],
  [
    'SELECT public.patients.* FROM "public" . "patients"',
    'SELECT patients.* FROM (… "public" . "patients") AS "patients"',
  ],
  ['SELECT upper(mail) FROM ONLY patients', 'SELECT upper(mail) FROM (… ONLY patients) AS "patients"'],
  ['SELECT mail FROM ONLY (patients)', 'SELECT mail FROM (… ONLY patients) AS "patients"'],
  ['TABLE patients', 'SELECT * FROM (… patients) AS "patients"'],
  ['TABLE ONLY patients', 'SELECT * FROM (… ONLY patients) AS "patients"'],
  [
    'SELECT x.mail FROM (SELECT * FROM patients WHERE id = 1) x',
    'SELECT x.mail FROM (SELECT * FROM (… patients) AS "patients" WHERE id = 1) x',
  ],
  [
    'WITH x AS (TABLE patients) SELECT mail FROM x',
    'WITH x AS (SELECT * FROM (… patients) AS "patients") SELECT mail FROM x',
  ],
  [
    'SELECT mail FROM patients UNION ALL SELECT mail FROM patients',
    'SELECT mail FROM (… patients) AS "patients" UNION ALL SELECT mail FROM (… patients) AS "patients"',
  ],
  [
    'SELECT v.id, (SELECT mail FROM patients p WHERE p.id = v.patient_id) FROM visits v',
    'SELECT v.id, (SELECT mail FROM (… patients) p WHERE p.id = v.patient_id) FROM visits v',
  ],
  ['SELECT p FROM patients p', 'SELECT p FROM (… patients) p'],
  ['SELECT to_jsonb(patients) FROM patients', 'SELECT to_jsonb(patients) FROM (… patients) AS "patients"'],
  [
    'SELECT j.mail FROM (patients p JOIN visits v ON v.id = p.id) j',
    'SELECT j.mail FROM ((… patients) p JOIN visits v ON v.id = p.id) j',
  ],
  ['SELECT * FROM patients JOIN visits USING (id)', 'SELECT * FROM (… patients) AS "patients" JOIN visits USING (id)'],
  ['SELECT mail FROM /* é */ patients -- é', 'SELECT mail FROM /* é */ (… patients) AS "patients" -- é'],
  [
    `SELECT 'é', mail FROM patients WHERE name = 'patients'`,
    `SELECT 'é', mail FROM (… patients) AS "patients" WHERE name = 'patients'`,
  ],
  ['SELECT mail FROM patients /* x */ p', 'SELECT mail FROM (… patients) /* x */ p'],
  ['SELECT mail FROM PATIENTS', 'SELECT mail FROM (… PATIENTS) AS "patients"'],
  [`SELECT coalesce(mail, 'x') FROM patients`, `SELECT coalesce(mail, 'x') FROM (… patients) AS "patients"`],
  [
    `INSERT INTO patients (id, mail) VALUES (1, 'x') RETURNING id, mail`,
    `INSERT INTO patients (id, mail) VALUES (1, 'x') RETURNING id, (NULL::text) AS "mail"`,
  ],
  [
    'INSERT INTO patients (id) VALUES (1) RETURNING *',
    'INSERT INTO patients (id) VALUES (1) RETURNING "patients"."id", "patients"."name", NULL::text AS "mail", NULL::text AS "born", "patients"."notes"',
  ],
  [
    `UPDATE patients SET name = 'x' WHERE id = 1 RETURNING mail AS m, upper(mail), patients.mail`,
    `UPDATE patients SET name = 'x' WHERE id = 1 RETURNING (NULL::text) AS m, upper((NULL::text)), (NULL::text) AS "mail"`,
  ],
  [
    `UPDATE patients p SET name = 'x' WHERE id = 1 RETURNING p.*`,
    `UPDATE patients p SET name = 'x' WHERE id = 1 RETURNING "p"."id", "p"."name", NULL::text AS "mail", NULL::text AS "born", "p"."notes"`,
  ],
  [
    'UPDATE visits SET cost = 1 FROM patients p WHERE p.id = patient_id RETURNING visits.id, p.mail',
    'UPDATE visits SET cost = 1 FROM (… patients) p WHERE p.id = patient_id RETURNING visits.id, p.mail',
  ],
  [
    'DELETE FROM patients WHERE id = 1 RETURNING old.mail',
    'DELETE FROM patients WHERE id = 1 RETURNING (NULL::text) AS "mail"',
  ],
  [
    `UPDATE patients SET name = 'x' WHERE id = 1 RETURNING new.*`,
    `UPDATE patients SET name = 'x' WHERE id = 1 RETURNING "new"."id", "new"."name", NULL::text AS "mail", NULL::text AS "born", "new"."notes"`,
  ],
  [
    'MERGE INTO visits v USING patients p ON v.id = p.id WHEN MATCHED THEN DELETE RETURNING p.mail',
    'MERGE INTO visits v USING (… patients) p ON v.id = p.id WHEN MATCHED THEN DELETE RETURNING p.mail',
  ],
  ['PREPARE s AS SELECT mail FROM patients', 'PREPARE s AS SELECT mail FROM (… patients) AS "patients"'],
  ['EXPLAIN SELECT * FROM patients', 'EXPLAIN SELECT * FROM (… patients) AS "patients"'],
  [
    'SELECT id FROM patients; SELECT mail FROM patients; SELECT mail FROM patients p',
    'SELECT id FROM patients; SELECT mail FROM (… patients) AS "patients"; SELECT mail FROM (… patients) p',
  ],
  [
    'WITH RECURSIVE r AS (SELECT id, mail FROM patients UNION ALL SELECT r.id, r.mail FROM r) SELECT * FROM r',
    'WITH RECURSIVE r AS (SELECT id, mail FROM (… patients) AS "patients" UNION ALL SELECT r.id, r.mail FROM r) SELECT * FROM r',
  ],
  ['SELECT * FROM staff', 'SELECT * FROM (SELECT "id", NULL::text AS "pin" FROM staff) AS "staff"'],
  ['SELECT mail FROM patients FOR UPDATE', 'SELECT mail FROM (… patients) AS "patients" FOR UPDATE'],
  [
    'SELECT patients.mail FROM patients NATURAL JOIN visits',
    'SELECT patients.mail FROM (… patients) AS "patients" NATURAL JOIN visits',
  ],
  ['SELECT ctid, mail FROM patients', 'SELECT ctid, mail FROM (… patients) AS "patients"'],
]

const REFUSED: readonly (readonly [text: string, why: RegExp])[] = [
  ['SELECT mail FROM ONLY /* x */ patients', /cannot be rewritten/],
  ['SELECT mail FROM patients TABLESAMPLE system (1)', /Masked columns of patients cannot be read in this way/],
  ['SELECT mail FROM U&"p\\0061tients"', /cannot be rewritten/],
  ['SELECT mail IS NULL FROM patients', /patients\.mail is masked for you: it may not be used in this place/],
  ['SELECT count(mail) FROM patients', /patients\.mail is masked for you: it may not be used in this place/],
  [
    `UPDATE patients SET name = 'x' WHERE id = 1 RETURNING patients`,
    /Masked columns of patients cannot be read in this way/,
  ],
]

describe('a text for a target where hidden columns cannot be read', () => {
  for (const [text, sent] of REWRITTEN)
    it(text, () => assert.equal(sentAt(text), sent === 'as it is' ? text : sent.replaceAll('…', BEHIND)))

  for (const [text, why] of REFUSED) it(`is refused: ${text}`, () => assert.match(sentAt(text), why))
})
