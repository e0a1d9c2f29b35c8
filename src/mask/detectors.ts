import { findCreditCards } from './credit-card.ts'
import type { Detector } from './detector.ts'
import { findEmails } from './email.ts'

/** The detectors that exist, by the name that a target's `detect` gives them. */
export const DETECTORS = { credit_card: findCreditCards, email: findEmails } as const satisfies Record<string, Detector>

export type DetectorName = keyof typeof DETECTORS

export const DETECTOR_NAMES: readonly DetectorName[] = Object.keys(DETECTORS) as DetectorName[]
