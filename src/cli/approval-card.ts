import * as z from 'zod'
import { ApprovalShape, type ApprovalJson, type IdentityJson, type StandingJson } from '../admin/shapes.ts'
import { block, countHidden, printable, shortened } from '../gateway/printable.ts'
import { table } from './terminal.ts'

export { ApprovalShape }
export const ApprovalList = z.object({ approvals: z.array(ApprovalShape) })

/**
 * Everything an approver decides on, nothing left out. All of it is hostile text: it is escaped, and lines are broken
 * here, so that no text can look like a part of the card.
 */
export function card(approval: ApprovalJson | StandingJson, columns: number): readonly string[] {
  if (!('text' in approval)) return standing(approval)
  const { text, parameters, preview, votes } = approval
  return [
    `Approval    ${printable(approval.id)}  ${approval.state}`,
    ...field('Requester', who(approval.requester), columns),
    ...field('Target', approval.target, columns),
    ...approval.touches.flatMap((touch) => field('Does', touch, columns)),
    ...(preview === undefined ? [] : field('Preview', previewText(preview), columns)),
    ...approval.rules.flatMap((rule) => field('Rule', rule, columns)),
    ...field('Needs', `${approval.quorum} of ${approval.groups.join(' and ')}`, columns),
    ...votes.flatMap(({ by, vote, reason }) =>
      field('Vote', `${vote} by ${by}${reason ? `: ${reason}` : ''}`, columns),
    ),
    ...field('Until', `${approval.expires_at} (permits exactly this, once)`, columns),
    ...field('Operation', `${approval.operation} in ${approval.session}`, columns),
    ...field('Digest', approval.digest, columns),
    `Text        ${sizeOf(text)}`,
    ...block(text, columns),
    ...(parameters.length === 0 ? [] : [`Parameters  ${parameters.length}`]),
    ...parameters.flatMap((value, index) => parameter(value, index, columns)),
  ]
}

/** One line for each approval. */
export function approvalTable(approvals: readonly (ApprovalJson | StandingJson)[]): readonly string[] {
  const rows = approvals.map((approval) => {
    const { id, state, expires_at: until } = approval
    if (!('text' in approval)) return [printable(id), state, printable(until), '', '', printable(approval.operation)]
    const { requester, target, text } = approval
    return [printable(id), state, printable(until), shortened(requester.id, 40), printable(target), shortened(text, 60)]
  })
  return table([['ID', 'STATE', 'UNTIL', 'REQUESTER', 'TARGET', 'OPERATION'], ...rows])
}

function standing({ id, state, operation, expires_at: until, reason }: StandingJson): readonly string[] {
  return [
    `Approval    ${printable(id)}  ${state}`,
    `Operation   ${printable(operation)}`,
    `Until       ${printable(until)}`,
    ...(reason === undefined ? [] : [`Reason      ${printable(reason)}`]),
  ]
}

function field(name: string, value: string, columns: number): readonly string[] {
  return block(value.replaceAll('\n', '\\n'), columns, name.padEnd(12), '  : '.padStart(12))
}

function parameter(value: string | null, index: number, columns: number): readonly string[] {
  if (value === null) return [`  $${index + 1} is NULL`]
  return [`  $${index + 1}: ${sizeOf(value)}`, ...block(value, columns)]
}

function sizeOf(text: string): string {
  const hidden = countHidden(text)
  const warning = hidden === 0 ? '' : `, ${hidden} of them cannot be shown and ${hidden === 1 ? 'is' : 'are'} escaped`
  return `${text.length} characters${warning}`
}

function who({ id, kind, person, act }: IdentityJson): string {
  const name = person === undefined ? `${kind} ${id}` : `${kind} ${id} (${person})`
  return act === undefined ? name : `${name}, acting for ${who(act)}`
}

function previewText({ rows_estimate: rows, note }: NonNullable<ApprovalJson['preview']>): string {
  const parts = [...(rows === undefined ? [] : [`about ${rows} rows`]), ...(note === undefined ? [] : [note])]
  return parts.length === 0 ? 'not known' : parts.join('; ')
}
