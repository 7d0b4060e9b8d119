import type { KeyObject } from 'node:crypto'
import { ForerunError } from '../../errors.ts'
import { readKeyMaterial } from '../key-material.ts'
import type { KeyMaterial, SigstoreAuthority, SigstoreSignedRequirement } from '../policy.ts'
import { SignatureFault } from '../signature-fault.ts'
import { type Certificate, parseCertificates } from './certificate.ts'
import { parsePublicKey } from './public-key.ts'

/** What a requirement believes, read. */
export interface TrustRoot {
  readonly signer: TrustedSigner
  /** Keys of transparency logs; empty: no entry is asked for. */
  readonly logKeys: readonly KeyObject[]
}

type Fulcio = Extract<SigstoreAuthority, { kind: 'fulcio' }>
type Pki = Extract<SigstoreAuthority, { kind: 'pki' }>

export type TrustedSigner =
  | { readonly kind: 'keys'; readonly keys: readonly KeyObject[] }
  | (Omit<Fulcio, 'ca'> & { readonly roots: readonly Certificate[] })
  | (Omit<Pki, 'roots' | 'intermediates'> & {
      readonly roots: readonly Certificate[]
      readonly intermediates: readonly Certificate[]
    })

/**
 * Reads the keys and certificates that a requirement names. One that cannot be read is an error even where another would
 * do: better now than when it is needed.
 *
 * @throws ForerunError `policy`
 */
export function readTrustRoot({ authority, rekorKeys }: SigstoreSignedRequirement): TrustRoot {
  const logKeys = rekorKeys.map((material) => {
    const key = readPublicKey(material)
    if (key.asymmetricKeyType !== 'ec') throw unusable(material, 'is no ECDSA key, which a transparency log has')
    return key
  })
  return { signer: readSigner(authority), logKeys }
}

function readSigner(authority: SigstoreAuthority): TrustedSigner {
  switch (authority.kind) {
    case 'keys':
      return { kind: 'keys', keys: authority.keys.map(readPublicKey) }
    case 'fulcio': {
      const { ca, ...signer } = authority
      return { ...signer, roots: readCertificates(ca) }
    }
    case 'pki': {
      const { roots, intermediates, ...signer } = authority
      const between = intermediates === undefined ? [] : readCertificates(intermediates)
      return { ...signer, roots: readCertificates(roots), intermediates: between }
    }
  }
}

function readPublicKey(material: KeyMaterial): KeyObject {
  const key = parsePublicKey(readKeyMaterial(material).toString('latin1'))
  if (key === undefined) {
    throw unusable(
      material,
      'is no public key in PEM format of a kind that is used (ECDSA, Ed25519, RSA from 2048 bits on)',
    )
  }
  return key
}

function readCertificates(material: KeyMaterial): readonly Certificate[] {
  try {
    return parseCertificates(readKeyMaterial(material).toString('latin1'))
  } catch (cause) {
    if (!(cause instanceof SignatureFault)) throw cause
    throw unusable(material, cause.message, cause)
  }
}

function unusable(material: KeyMaterial, what: string, cause?: unknown): ForerunError {
  const name = 'path' in material ? `${material.path}, which policy.json names,` : 'a key in policy.json'
  return new ForerunError('policy', `${name} ${what}`, {
    hint: 'Put the right key or certificate there, or correct policy.json (forerun trust show).',
    cause,
  })
}
