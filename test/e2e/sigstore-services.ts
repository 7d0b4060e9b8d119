import { createHash, createPublicKey, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { authority, certify, codeSigning, type Holder, names, oidcIssuer, usage } from '../trust/sigstore/authority.ts'
import { entryOf, envelopeRecord, inclusionProof, promise, type TestLog, testLog } from '../trust/sigstore/log.ts'

/**
 * A transparency log and an authority for short-lived certificates on 127.0.0.1, with as much of the programming interfaces of Rekor 1
 * and Fulcio as `cosign sign` asks for. Both believe whatever they are told.
 */
export interface SigstoreServices extends AsyncDisposable {
  readonly url: string
  readonly log: TestLog
  readonly root: Holder
}

export async function startSigstore({ lifetime = 600_000 }: { lifetime?: number } = {}): Promise<SigstoreServices> {
  const log = testLog()
  const root = certify({ name: 'authority', extensions: authority() })
  const server = createServer(async (request, response) => {
    const document = JSON.parse(await textOf(request))
    const token = request.headers.authorization ?? ''
    const isEntry = request.url === '/api/v1/log/entries'
    const answer = isEntry ? logged(log, document) : certified(document, { root, token, lifetime })
    const [id = ''] = Object.keys(answer)
    response.writeHead(isEntry ? 201 : 200, {
      'content-type': 'application/json',
      etag: id,
      location: `${request.url}/${id}`,
    })
    response.end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    root,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A token that says who its bearer is, as an identity provider would; its signature is nobody's. */
export function identityToken({ issuer, email }: { issuer: string; email: string }): string {
  const expires = Math.floor(Date.now() / 1000) + 3600
  const claims = {
    iss: issuer,
    aud: 'sigstore',
    sub: 'jane',
    email,
    email_verified: true,
    exp: expires,
    nonce: randomUUID(),
  }
  const parts = [{ alg: 'RS256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return [...parts, Buffer.from('unsigned').toString('base64url')].join('.')
}

async function textOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString()
}

interface ProposedEntry {
  readonly kind: 'hashedrekord' | 'dsse'
  readonly spec: {
    readonly signature?: { readonly content: string; readonly publicKey: { readonly content: string } }
    readonly data?: { readonly hash: { readonly algorithm: string; readonly value: string } }
    readonly proposedContent?: { readonly envelope: string; readonly verifiers: readonly string[] }
  }
}

/** Of a record the log keeps what it is given; of an envelope, what it holds. */
function logged(log: TestLog, { kind, spec }: ProposedEntry): object {
  const entry = entryOf(log, kind === 'dsse' ? envelopeEntry(spec) : { apiVersion: '0.0.1', kind, spec }, new Date())
  const leaves = ['before', entry.body, 'after'].map((text, index) =>
    Buffer.from(text, index === 1 ? 'base64' : 'utf8'),
  )
  const { checkpoint, logIndex, treeSize, ...proof } = inclusionProof(log, leaves, 1)
  const hex = (text: string) => Buffer.from(text, 'base64').toString('hex')
  const verification = {
    signedEntryTimestamp: promise(log, entry).toString('base64'),
    inclusionProof: {
      checkpoint: checkpoint.envelope,
      hashes: proof.hashes.map(hex),
      logIndex: Number(logIndex),
      rootHash: hex(proof.rootHash),
      treeSize: Number(treeSize),
    },
  }
  const id = createHash('sha256').update(entry.body).digest('hex')
  return { [id]: { ...entry, verification } }
}

function envelopeEntry({ proposedContent }: ProposedEntry['spec']): object {
  const { payload, signatures } = JSON.parse(proposedContent?.envelope ?? '')
  return envelopeRecord({
    payload: Buffer.from(payload, 'base64'),
    signature: Buffer.from(signatures[0].sig, 'base64'),
    verifier: Buffer.from(proposedContent?.verifiers[0] ?? '', 'base64'),
  })
}

interface CertificateRequest {
  readonly publicKeyRequest: { readonly publicKey: { readonly content: string } }
}

function certified(
  { publicKeyRequest }: CertificateRequest,
  { root, token, lifetime }: { root: Holder; token: string; lifetime: number },
): object {
  const { iss, email } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const publicKey = createPublicKey(publicKeyRequest.publicKey.content)
  const now = Date.now()
  const leaf = certify({
    issuer: root,
    keys: { publicKey, privateKey: root.privateKey },
    from: new Date(now - 1_000),
    to: new Date(now + lifetime),
    extensions: [usage(codeSigning), names([1, email]), ...oidcIssuer(iss)],
  })
  return { signedCertificateEmbeddedSct: { chain: { certificates: [leaf.pem, root.pem] } } }
}
