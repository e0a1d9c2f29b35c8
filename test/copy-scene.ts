import { readFile } from 'node:fs/promises'
import { frame } from './frames-builder.ts'
import { startScene, type Scene } from './scene.ts'

/** Writes in bulk to one table; the rest is that of every agent. */
const RULES = `
@id("loaders-load")
permit (principal in Group::"loaders", action in Action::"write", resource == Table::"orders/public.loads");
@id("held-load") @hold("group:dba") @wait("4s") @ticket("60s") @preview("rows")
permit (principal in Group::"held", action == Action::"sql.insert", resource == Table::"orders/public.loads");`

/** A table to load. */
const TABLES = `
CREATE TABLE loads (id int PRIMARY KEY, word text);
ALTER TABLE loads OWNER TO orders_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON loads TO orders_writer;
CREATE ROLE direct LOGIN PASSWORD 'direct' IN ROLE orders_writer`

/** A shop with a table `loads`, which members of `loaders` may fill, of `held` when a dba approves. */
export async function startCopyScene(target?: object): Promise<Scene> {
  const rules = await readFile(new URL('scene.cedar', import.meta.url), 'utf8')
  const bulk = '{ context.unbounded && !(principal in Group::"loaders" || principal in Group::"held") }'
  const scene = await startScene({ policies: rules.replace('{ context.unbounded }', bulk), rules: RULES, target })
  await scene.truth(TABLES)
  return scene
}

/** Groups of whoever may fill `loads`. */
export const LOADERS = ['data-agents', 'loaders']

export const LOAD = 'COPY loads FROM STDIN'
/** A CopyData. */
export const data = (text: string): Buffer => frame('d', Buffer.from(text))
/** CopyDone. */
export const done = frame('c')
