/**
 * Errors that a client may see: RFC 9457 problem details with a stable `code`, the places (JSON
 * pointers into the input) and a sentence that says what to do. Codes are named once, here.
 */
export const problems = {
  'bad-request': [400, 'The request cannot be understood'],
  'bad-body': [400, 'The body cannot be read'],
  'unknown-parameter': [400, 'Unknown parameter'],
  'bad-cursor': [400, 'The page cursor is not valid here'],
  'bad-login': [401, 'Name and password do not belong together'],
  'no-token': [401, 'A token is needed'],
  'bad-token': [401, 'The token is not known'],
  'bad-certificate': [401, 'The client certificate is not good here'],
  'bad-proof': [401, 'The signature does not prove who asks'],
  'login-failed': [401, 'The login through the identity provider failed'],
  forbidden: [403, 'This token may not do that'],
  'not-found': [404, 'There is no such thing'],
  'method-not-allowed': [405, 'That method is not possible here'],
  'not-acceptable': [406, 'None of the accepted media types can be served'],
  conflict: [409, 'The change conflicts with what is there'],
  'already-exists': [409, 'Something with this key exists already'],
  'in-use': [409, 'Something else still refers to this'],
  'no-capacity': [409, 'No hypervisor can take this virtual machine'],
  'hypervisor-unavailable': [409, 'That hypervisor takes no virtual machines now'],
  'quota-exceeded': [409, 'The quota does not allow so much'],
  'no-address': [409, 'No free address is left'],
  'plan-changed': [409, 'The effect is no longer the one that was planned'],
  'stands-in-the-way': [409, 'Later changes stand in the way'],
  'layer-conflict': [409, 'The layer contradicts another one, or a list of classes'],
  'idempotency-busy': [409, 'The first request with this key is still under way'],
  'fallen-behind': [410, 'That part of the history is no longer kept'],
  gone: [410, 'This has been deactivated'],
  'request-timeout': [408, 'The request came too slowly'],
  'stale-version': [412, 'It has been changed since it was read'],
  'too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'Bodies of this media type are not read'],
  invalid: [422, 'Some values are not valid'],
  'idempotency-mismatch': [422, 'This idempotency key belongs to another request'],
  'precondition-required': [428, 'If-Match is required'],
  'too-many-attempts': [429, 'Too many attempts'],
  'too-many-requests': [429, 'Too many requests'],
  'headers-too-large': [431, 'The URL or the headers are too large'],
  internal: [500, 'Something failed in Corral'],
  'directory-failed': [503, 'The directory or identity provider cannot be asked'],
  unavailable: [503, 'Corral cannot reach its database'],
} as const satisfies Record<string, readonly [number, string]>;

export type ProblemCode = keyof typeof problems;

/** One place in the input that is wrong; `pointer` is a JSON pointer, e.g. `/interfaces/0/mac`. */
export interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** The wire form of a problem. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly detail: string;
  readonly errors?: readonly Fault[];
  readonly [extra: string]: unknown;
}

/** Thrown anywhere; turned into an answer at the edge. Never carries a driver's message. */
export class Problem extends Error {
  readonly status: number;
  readonly code: ProblemCode;
  readonly faults: readonly Fault[];
  readonly extra: Readonly<Record<string, unknown>>;
  /** Of the answer, beside those that every problem has. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    options: { faults?: readonly Fault[]; extra?: Record<string, unknown>; headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.code = code;
    this.status = problems[code][0];
    this.faults = options.faults ?? [];
    this.extra = options.extra ?? {};
    this.headers = options.headers ?? {};
  }

  toDocument(): ProblemDocument {
    return {
      type: `/docs#${this.code}`,
      title: problems[this.code][1],
      status: this.status,
      code: this.code,
      detail: this.message,
      ...(this.faults.length > 0 ? { errors: this.faults } : {}),
      ...this.extra,
    };
  }
}

/** A problem about one place of the input. */
export function fault(code: ProblemCode, pointer: string, message: string): Problem {
  return new Problem(code, `${pointer || '/'}: ${message}`, { faults: [{ pointer, message }] });
}

/** A JSON pointer (RFC 6901) from path segments. */
export function pointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
