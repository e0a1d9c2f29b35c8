/**
 * What hides sensitive values for one session. A protocol walks its own bytes, because it knows where values are, and
 * asks this for each: the decision what is hidden, and by what, is made here and nowhere else.
 */
export interface Masker {
  /** True when any of these data classes (`pii`, `card`) must not be seen by the session's identity. */
  hides(classes: readonly string[]): boolean
  /** True when detectors are on for this target: free text is to be given to `text`. */
  readonly detects: boolean
  /**
   * The same text with every detected value replaced, or undefined when nothing was found (the common case, without
   * allocation). Linear in its length.
   */
  text(value: Uint8Array): Uint8Array | undefined
  /**
   * False when `text` finds nothing in any piece of these bytes: a quick look at many values at once, whatever stands
   * between them.
   */
  suspects(bytes: Uint8Array): boolean
}
