import { createSign, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Certificates, certificateDer } from './certificates.ts'

/** What a bearer of the token may do, in the words of the distribution project's "Token Authentication Implementation". */
export interface Access {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string
  /** The requests so far: method, path and query, and who asked. */
  readonly requests: readonly { readonly url: string; readonly user: string | undefined }[]
  /** A token without asking, as the lab's own pushes need. */
  token(access: readonly Access[]): string
}

export interface TokenServerOptions {
  readonly service: string
  readonly issuer: string
  readonly certificates: Certificates
  /** Name -> password. They may push and pull. */
  readonly users: Readonly<Record<string, string>>
  /** Whether one without a name may pull. */
  readonly anonymousPull: boolean
  /** Seconds. */
  readonly lifetime: number
}

/** A token server on loopback. What is not permitted is left out of the token, as the real ones do; a wrong password is 401. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const requests: { url: string; user: string | undefined }[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const [user, password] = basicCredentials(request.headers.authorization)
    requests.push({ url: request.url ?? '', user })
    if (user !== undefined && options.users[user] !== password) {
      response.writeHead(401, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ details: 'incorrect username or password' }))
      return
    }
    const access = url.searchParams.getAll('scope').flatMap((scope) => permitted(scope, { user, ...options }))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ token: sign(access, options), expires_in: options.lifetime }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    requests,
    token: (access) => sign(access, options),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function basicCredentials(header: string | undefined): [string, string] | [undefined, undefined] {
  const encoded = /^Basic (.+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return [undefined, undefined]
  const text = Buffer.from(encoded, 'base64').toString()
  return [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)]
}

function permitted(scope: string, who: { user: string | undefined; anonymousPull: boolean }): Access[] {
  const [type = '', name = '', actions = ''] = scope.split(':')
  const allowed = who.user !== undefined ? ['pull', 'push', 'delete'] : who.anonymousPull ? ['pull'] : []
  return [{ type, name, actions: actions.split(',').filter((action) => allowed.includes(action)) }]
}

/** A JSON Web Token with the certificate in it, which the registry checks against its own bundle. */
function sign(access: readonly Access[], options: TokenServerOptions): string {
  const now = Math.floor(Date.now() / 1000)
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificateDer(options.certificates.certificateFile)] }
  const claims = {
    ...{ iss: options.issuer, sub: '', aud: options.service, jti: randomUUID() },
    ...{ iat: now, nbf: now - 10, exp: now + options.lifetime, access },
  }
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const key = { key: readFileSync(options.certificates.keyFile, 'utf8'), dsaEncoding: 'ieee-p1363' as const }
  return `${signed}.${createSign('SHA256').update(signed).sign(key, 'base64url')}`
}
