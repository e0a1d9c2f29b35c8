import { httpDriver } from './http-driver.ts'
import { conformance } from './suite.ts'

conformance(httpDriver())
