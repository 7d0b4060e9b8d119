import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { pemBlocks } from './pem.ts'

/**
 * Reads the first block of a PEM text: a `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS#1). undefined when it is none of these,
 * or of a kind that Sigstore does not use or that is too weak.
 */
export function parsePublicKey(pem: string): KeyObject | undefined {
  const [block] = pemBlocks(pem)
  if (block?.label !== 'PUBLIC KEY' && block?.label !== 'RSA PUBLIC KEY') return undefined
  try {
    const type = block.label === 'PUBLIC KEY' ? 'spki' : 'pkcs1'
    const key = createPublicKey({ key: block.der, format: 'der', type })
    return schemesOf(key).length === 0 ? undefined : key
  } catch {
    // OpenSSL has a code of its own for each way in which bytes are no key.
    return undefined
  }
}

/** The key's SubjectPublicKeyInfo. */
export function keyDer(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' })
}

/**
 * Whether a signature over a message is by a key: ECDSA with SHA-256, as cosign and containers/image have it whatever the curve, or with the hash that is
 * as strong as the curve, as bundles have it; RSA PKCS #1 v1.5 and PSS with SHA-256; Ed25519.
 */
export function isSignedBy(key: KeyObject, { message, signature }: { message: Buffer; signature: Buffer }): boolean {
  return schemesOf(key).some(({ hash, padding }) => {
    return verify(hash, message, padding === undefined ? key : { key, padding }, signature)
  })
}

interface Scheme {
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null
  readonly padding?: number
}

const curves: Readonly<Record<string, readonly Scheme[]>> = {
  prime256v1: [{ hash: 'sha256' }],
  secp384r1: [{ hash: 'sha256' }, { hash: 'sha384' }],
  secp521r1: [{ hash: 'sha256' }, { hash: 'sha512' }],
}

/** Shorter RSA keys have been broken, or will be. */
const shortestModulus = 2048

function schemesOf(key: KeyObject): readonly Scheme[] {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ec':
      return curves[namedCurve] ?? []
    case 'ed25519':
      return [{ hash: null }]
    case 'rsa': {
      const paddings = [constants.RSA_PKCS1_PADDING, constants.RSA_PKCS1_PSS_PADDING]
      return modulusLength < shortestModulus ? [] : paddings.map((padding) => ({ hash: 'sha256', padding }))
    }
    default:
      return []
  }
}
