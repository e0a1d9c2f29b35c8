import { findAwsKeys, suspectsAwsKey } from './aws-key.ts'
import { findCreditCards, suspectsCreditCard } from './credit-card.ts'
import type { Detector } from './detector.ts'
import { findEmails, suspectsEmail } from './email.ts'
import { findIbans, suspectsIban } from './iban.ts'
import { findJwts, suspectsJwt } from './jwt.ts'
import { findPhones, suspectsPhone } from './phone.ts'
import { findPrivateKeys, suspectsPrivateKey } from './private-key.ts'
import { findSocialSecurityNumbers, suspectsSocialSecurityNumber } from './us-ssn.ts'

/** The detectors, by the name that a target's `detect` gives them. */
export const DETECTORS = {
  credit_card: { find: findCreditCards, suspects: suspectsCreditCard },
  email: { find: findEmails, suspects: suspectsEmail },
  us_ssn: { find: findSocialSecurityNumbers, suspects: suspectsSocialSecurityNumber },
  iban: { find: findIbans, suspects: suspectsIban },
  phone: { find: findPhones, suspects: suspectsPhone },
  private_key: { find: findPrivateKeys, suspects: suspectsPrivateKey },
  aws_key: { find: findAwsKeys, suspects: suspectsAwsKey },
  jwt: { find: findJwts, suspects: suspectsJwt },
} as const satisfies Record<string, Detector>

export type DetectorName = keyof typeof DETECTORS

export const DETECTOR_NAMES: readonly DetectorName[] = Object.keys(DETECTORS) as DetectorName[]
