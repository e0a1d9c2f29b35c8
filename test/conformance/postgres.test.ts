import { after } from 'node:test'
import { startReader } from './postgres-scene.ts'
import { postgresDriver } from './postgres-driver.ts'
import { conformance } from './suite.ts'

const reader = startReader()
after(() => reader[Symbol.asyncDispose]())

conformance(postgresDriver(() => reader, 'simple'))
conformance(postgresDriver(() => reader, 'extended'))
