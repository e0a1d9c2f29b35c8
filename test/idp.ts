export { signingKey, startIdp, type Account, type Idp } from '../demo/idp.ts'
