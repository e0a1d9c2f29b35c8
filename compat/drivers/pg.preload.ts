import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Loaded before each file of node-postgres' suite: the runner of its tests is ours. */

registerHooks({
  resolve: (specifier, context, next) => {
    const ours = specifier === './suite' && context.parentURL?.endsWith('/test/test-helper.js')
    return next(ours ? pathToFileURL(join(import.meta.dirname, 'pg-runner.ts')).href : specifier, context)
  },
})
