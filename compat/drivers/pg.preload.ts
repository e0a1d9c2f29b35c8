import { registerHooks } from 'node:module'
import { join } from 'node:path'

/** Loaded before each file of node-postgres' suite: the runner of its tests is ours. */

registerHooks({
  resolve: (specifier, context, next) => {
    const theirs = specifier === './suite' && context.parentURL?.endsWith('/test/test-helper.js')
    return next(theirs ? join(import.meta.dirname, 'pg-runner.ts') : specifier, context)
  },
})
