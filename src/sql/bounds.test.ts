import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readOne } from './fixtures.ts'

/** True when any write of the statement is unbounded; there has to be one. */
function isUnbounded(text: string): boolean {
  const writes = readOne(text, { hidden: [] }).touches.filter((each) =>
    /insert|update|delete|truncate/.test(each.action),
  )
  assert.notEqual(writes.length, 0)
  return writes.some((each) => each.facts.unbounded)
}

describe('a write without bound', () => {
  for (const text of [
    'DELETE FROM visits',
    'DELETE FROM visits WHERE true',
    'DELETE FROM visits WHERE 1=1',
    'DELETE FROM visits WHERE id=id',
    'DELETE FROM visits WHERE visits.id=id',
    'DELETE FROM visits WHERE id=id+0',
    'DELETE FROM visits WHERE id IS NOT NULL',
    'DELETE FROM visits WHERE id IS NOT NULL OR id IS NULL',
    'DELETE FROM visits WHERE id=1 OR true',
    'DELETE FROM visits WHERE id=1 OR 1=1',
    'DELETE FROM visits WHERE NOT (id=1)',
    'DELETE FROM visits WHERE NOT false',
    'DELETE FROM visits WHERE id<>-1',
    'DELETE FROM visits WHERE id NOT IN (1)',
    'DELETE FROM visits WHERE id > 0',
    'DELETE FROM visits WHERE id BETWEEN -2147483648 AND 2147483647',
    'DELETE FROM visits WHERE id >= -10 AND id <= 99999999',
    "DELETE FROM visits WHERE day BETWEEN '1900-01-01' AND '2100-01-01'",
    'DELETE FROM visits WHERE id IN (SELECT id FROM visits)',
    'DELETE FROM visits WHERE id = ANY(ARRAY(SELECT id FROM visits))',
    'DELETE FROM visits WHERE id = ANY(SELECT id FROM visits)',
    'DELETE FROM visits WHERE EXISTS (SELECT 1)',
    'DELETE FROM visits WHERE id = (SELECT o.id FROM visits o WHERE o.id=visits.id)',
    'DELETE FROM visits WHERE id IN (SELECT visits.id)',
    'DELETE FROM visits WHERE id IN (SELECT q.id FROM (SELECT visits.id) q, (VALUES (1)) visits(id))',
    'DELETE FROM visits WHERE id IN (VALUES (visits.id))',
    'DELETE FROM visits WHERE id IN (id, 2)',
    'DELETE FROM visits WHERE coalesce(id,0)=id',
    'DELETE FROM visits WHERE CASE WHEN true THEN true END',
    'DELETE FROM visits WHERE (id,1)=(id,1)',
    'DELETE FROM visits WHERE id*0=0',
    'DELETE FROM visits WHERE random()>=0',
    'DELETE FROM visits WHERE id IN (SELECT generate_series(1,1000000))',
    'DELETE FROM visits WHERE id IN (SELECT id FROM visits LIMIT 100000000)',
    'DELETE FROM visits WHERE ctid IN (SELECT ctid FROM visits)',
    'DELETE FROM visits USING patients WHERE visits.patient_id=patients.id',
    'DELETE FROM visits o USING visits p WHERE o.id=p.id',
    'DELETE FROM visits USING generate_series(1,1000000) g WHERE visits.id=g',
    "DELETE FROM visits WHERE id::text LIKE '%'",
    'DELETE FROM visits WHERE id IS DISTINCT FROM -1',
    'DELETE FROM visits WHERE true AND (id=1 OR id<>1)',
    'DELETE FROM visits WHERE id = NULL',
    'UPDATE visits SET cost=0 WHERE id = ANY((SELECT array_agg(id) FROM visits)::int[])',
    'WITH x AS (SELECT id FROM visits) DELETE FROM visits USING x WHERE visits.id=x.id',
    'WITH d AS (DELETE FROM visits RETURNING 1) SELECT 1',
    'WITH RECURSIVE x AS (SELECT 1 AS id UNION ALL SELECT id+1 FROM x WHERE id<1000000) DELETE FROM visits USING x WHERE visits.id=x.id',
    'INSERT INTO visits SELECT * FROM visits',
    'INSERT INTO visits(id) SELECT id FROM patients ON CONFLICT (id) DO UPDATE SET cost=0',
    'MERGE INTO visits o USING patients c ON o.patient_id=c.id WHEN MATCHED THEN DELETE',
    'MERGE INTO visits o USING (VALUES (1)) s(id) ON true WHEN MATCHED THEN DELETE',
    'MERGE INTO visits o USING (VALUES (1)) s(id) ON o.id=s.id WHEN NOT MATCHED BY SOURCE THEN DELETE',
    'EXPLAIN ANALYZE DELETE FROM visits',
    'PREPARE x AS DELETE FROM visits',
    'TRUNCATE visits',
    'DELETE FROM visits WHERE id = 1 OR id IN (SELECT id FROM visits)',
    'DELETE FROM visits WHERE id IN (SELECT max(o.id) OVER () FROM visits o)',
    'DELETE FROM visits WHERE id IN (SELECT a.id FROM visits a LEFT JOIN visits b ON a.id=1)',
    'DELETE FROM visits WHERE visits = visits',
    'DELETE FROM visits WHERE id = ALL (ARRAY[]::int[])',
    'DELETE FROM visits WHERE id IN (SELECT unnest(array_agg(id)) FROM visits)',
    'DELETE FROM visits WHERE cost = false',
    'DELETE FROM visits WHERE cost = $1::bool',
  ]) {
    it(`is ${text}`, () => assert.equal(isUnbounded(text), true))
  }
})

describe('a write with a bound', () => {
  for (const text of [
    'DELETE FROM visits WHERE id=10',
    'DELETE FROM visits WHERE 10=id',
    'DELETE FROM visits WHERE id=$1',
    'DELETE FROM visits WHERE id=$1::int',
    'DELETE FROM visits o WHERE o.id=10 AND cost>5',
    'DELETE FROM visits WHERE id IN (1,2,3)',
    'DELETE FROM visits WHERE id=ANY(ARRAY[1,2])',
    'DELETE FROM visits WHERE id=ANY($1)',
    "DELETE FROM visits WHERE id=ANY('{1,2}'::int[])",
    'DELETE FROM visits WHERE id BETWEEN 10 AND 20',
    'DELETE FROM visits WHERE id >= 10 AND id < 20',
    "DELETE FROM visits WHERE day >= '2026-01-01' AND day < '2026-02-01'",
    'DELETE FROM visits WHERE id=1 OR id=2',
    'DELETE FROM visits WHERE (id,patient_id)=(1,2)',
    'DELETE FROM visits WHERE (id,patient_id) IN ((1,2),(3,4))',
    'DELETE FROM visits WHERE id=(SELECT max(id) FROM visits)',
    'DELETE FROM visits WHERE id IN (SELECT max(id) FROM visits)',
    'DELETE FROM visits WHERE id IN (SELECT id FROM visits WHERE patient_id=1)',
    'DELETE FROM visits WHERE id IN (SELECT o.id FROM visits o JOIN patients c ON c.id=o.patient_id WHERE c.id=1)',
    'DELETE FROM visits WHERE id IN (SELECT id FROM visits LIMIT 1)',
    'DELETE FROM visits WHERE CURRENT OF k',
    'DELETE FROM visits USING patients c WHERE visits.patient_id=c.id AND c.id=1',
    'DELETE FROM visits USING (VALUES (1),(2)) v(id) WHERE visits.id=v.id',
    'DELETE FROM visits USING unnest($1::int[]) v WHERE visits.id=v',
    'WITH t AS (SELECT 10 AS id) UPDATE visits SET cost=1 FROM t WHERE visits.id=t.id',
    'UPDATE visits SET cost=c.id FROM patients c WHERE visits.id=10',
    'INSERT INTO visits VALUES (1,2,3,now())',
    'INSERT INTO visits DEFAULT VALUES',
    'INSERT INTO visits SELECT 1,2',
    'INSERT INTO visits VALUES (10,1,1,now()) ON CONFLICT (id) DO UPDATE SET cost=1',
    'MERGE INTO visits o USING (VALUES (1)) s(id) ON o.id=s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)',
    "UPDATE visits SET cost=cost+1 WHERE id=upper('x')::int",
    'DELETE FROM nope WHERE id=1',
  ]) {
    it(`is ${text}`, () => assert.equal(isUnbounded(text), false))
  }
})
