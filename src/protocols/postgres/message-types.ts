/** Every message type of protocol 3.0 and 3.2: name -> ASCII code of the type byte ("Message Formats"). */

/** What a client sends. `PasswordMessage` is also SASLInitialResponse, SASLResponse and GSSResponse. */
export const FRONTEND = {
  Bind: 0x42,
  Close: 0x43,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyFail: 0x66,
  Describe: 0x44,
  Execute: 0x45,
  Flush: 0x48,
  FunctionCall: 0x46,
  Parse: 0x50,
  PasswordMessage: 0x70,
  Query: 0x51,
  Sync: 0x53,
  Terminate: 0x58,
} as const

/** What a target sends. `Authentication` is all the messages of type R, told apart by their first integer. */
export const BACKEND = {
  Authentication: 0x52,
  BackendKeyData: 0x4b,
  BindComplete: 0x32,
  CloseComplete: 0x33,
  CommandComplete: 0x43,
  CopyBothResponse: 0x57,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyInResponse: 0x47,
  CopyOutResponse: 0x48,
  DataRow: 0x44,
  EmptyQueryResponse: 0x49,
  ErrorResponse: 0x45,
  FunctionCallResponse: 0x56,
  NegotiateProtocolVersion: 0x76,
  NoData: 0x6e,
  NoticeResponse: 0x4e,
  NotificationResponse: 0x41,
  ParameterDescription: 0x74,
  ParameterStatus: 0x53,
  ParseComplete: 0x31,
  PortalSuspended: 0x73,
  ReadyForQuery: 0x5a,
  RowDescription: 0x54,
} as const

/** Codes in place of a protocol version in a connection's first message. */
export const STARTUP = { CancelRequest: 80877102, SSLRequest: 80877103, GSSENCRequest: 80877104 } as const

export type FrontendName = keyof typeof FRONTEND
export type BackendName = keyof typeof BACKEND

const frontendNames = namesOf(FRONTEND)
const backendNames = namesOf(BACKEND)

export function frontendName(type: number): FrontendName | undefined {
  return frontendNames.get(type)
}

export function backendName(type: number): BackendName | undefined {
  return backendNames.get(type)
}

function namesOf<Name extends string>(codes: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries(codes).map(([name, code]) => [code as number, name as Name]))
}
