import { type ErrorCode, ForerunError } from '../errors.ts'

/** An error on its way from one thread to another: a structured clone would lose its class and its codes. */
export type ThreadFailure =
  | { readonly kind: 'forerun'; readonly code: ErrorCode; readonly message: string; readonly hint: string | undefined }
  | ({
      readonly kind: 'other'
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
    } & Readonly<Pick<NodeJS.ErrnoException, 'code' | 'errno' | 'syscall' | 'path'>>)

export function encodeFailure(error: unknown): ThreadFailure {
  if (error instanceof ForerunError) {
    return { kind: 'forerun', code: error.code, message: error.message, hint: error.hint }
  }
  const given: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error))
  const { name, message, stack, code, errno, syscall, path } = given
  return { kind: 'other', name, message, stack, code, errno, syscall, path }
}

export function decodeFailure(failure: ThreadFailure): Error {
  if (failure.kind === 'forerun') {
    const { code, message, hint } = failure
    return new ForerunError(code, message, hint === undefined ? {} : { hint })
  }
  const { kind: _, message, ...fields } = failure
  return Object.assign(new Error(message), fields)
}
