/** A piece of a text, in bytes: from `start` up to but not including `end`. */
export type Span = { readonly start: number; readonly end: number }

/**
 * Finds the sensitive pieces of a UTF-8 text, in any order; they may overlap. Undefined, without allocation, when there
 * is none. Takes time linear in the text's length whatever it holds: text is hostile. Once there are `most` or more, it looks
 * no further.
 */
export type Detector = {
  readonly find: (text: Uint8Array, most?: number) => readonly Span[] | undefined
  /** False when `find` finds nothing in any piece of these bytes, which need be no text. Cheaper, and linear too. */
  readonly suspects: (bytes: Uint8Array) => boolean
}
