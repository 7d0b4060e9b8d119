import { createHash, type KeyObject, verify } from 'node:crypto'
import { json } from '@sigstore/core'
import { SignatureFault } from '../signature-fault.ts'
import { checkInclusion, type InclusionProof } from './inclusion-proof.ts'

/** An entry of a transparency log (Rekor), as it comes with a signature. */
export interface LogEntry {
  /** base64 */
  readonly body: string
  /** Seconds since 1970. Only the promise vouches for it. */
  readonly integratedTime: number
  readonly logIndex: number
  /** Hexadecimal digest of the log's key. */
  readonly logId: string
  /** The "signed entry timestamp": the log's signature over the four above. */
  readonly promise: Buffer | undefined
  readonly proof: InclusionProof | undefined
}

/**
 * Checks offline that a log has an entry: by its promise, or by a proof that the entry is in a tree whose head it signed. Where both
 * are there, both must hold.
 *
 * @returns when the entry was made. undefined when no promise vouches for the time.
 * @throws SignatureFault
 */
export function checkLogged(entry: LogEntry, logKeys: readonly KeyObject[]): Date | undefined {
  const { promise, proof } = entry
  if (promise === undefined && proof?.checkpoint === undefined) {
    throw new SignatureFault('has an entry of a transparency log without a proof of it')
  }
  if (promise !== undefined && !isPromised(entry, promise, logKeys)) {
    throw new SignatureFault(
      "has an entry of a transparency log that is not signed by the policy's key (rekorPublicKey)",
    )
  }
  if (proof !== undefined) checkInclusion(Buffer.from(entry.body, 'base64'), proof, logKeys)
  return promise === undefined ? undefined : new Date(entry.integratedTime * 1000)
}

/** The signature is over the canonical JSON (RFC 8785) of what Rekor's API calls the log entry. */
function isPromised(entry: LogEntry, promise: Buffer, logKeys: readonly KeyObject[]): boolean {
  const { body, integratedTime, logIndex, logId: logID } = entry
  const signed = Buffer.from(json.canonicalize({ body, integratedTime, logIndex, logID }))
  return logKeys.some((key) => verify('sha256', signed, key, promise))
}

/** Hexadecimal. */
export function hashOf(algorithm: 'sha256' | 'sha384' | 'sha512', bytes: Buffer): string {
  return createHash(algorithm).update(bytes).digest('hex')
}
