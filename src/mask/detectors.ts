import { findCreditCards, suspectsCreditCard } from './credit-card.ts'
import type { Detector } from './detector.ts'
import { findEmails, suspectsEmail } from './email.ts'

/** The detectors that exist, by the name that a target's `detect` gives them. */
export const DETECTORS = {
  credit_card: { find: findCreditCards, suspects: suspectsCreditCard },
  email: { find: findEmails, suspects: suspectsEmail },
} as const satisfies Record<string, Detector>

export type DetectorName = keyof typeof DETECTORS

export const DETECTOR_NAMES: readonly DetectorName[] = Object.keys(DETECTORS) as DetectorName[]
