import { createSign, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
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
  readonly requests: readonly { readonly method: string; readonly url: string; readonly user: string | undefined }[]
  /** A token without asking, as the lab's own pushes need. */
  token(access: readonly Access[]): string
}

export interface TokenServerOptions {
  readonly service: string
  readonly issuer: string
  readonly certificates: Certificates
  /** Name -> password. They may push and pull. */
  readonly users: Readonly<Record<string, string>>
  /** Identity token -> name. They serve in place of a password, by POST. */
  readonly identityTokens?: Readonly<Record<string, string>>
  /** Whether one without a name may pull. */
  readonly anonymousPull: boolean
  /** Seconds. */
  readonly lifetime: number
}

/**
 * A token server on loopback, of the distribution project's protocols: by GET with a password, and "OAuth2 Token Authentication"
 * with an identity token. What is not permitted is left out of the token, as the real ones do; a wrong password is 401.
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const requests: { method: string; url: string; user: string | undefined }[] = []
  const server = createServer(async (request, response) => {
    const { method = 'GET', url = '/', headers } = request
    const answer = (status: number, document: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document))
    const form = new URLSearchParams(await text(request))
    const isPost = method === 'POST'
    const [user, isKnown] = isPost ? identified(form, options) : named(headers.authorization, options)
    requests.push({ method, url, user })
    if (!isKnown) return answer(401, { details: 'incorrect username or password' })
    const scopes = isPost
      ? (form.get('scope') ?? '').split(' ').filter((scope) => scope !== '')
      : new URL(url, 'http://localhost').searchParams.getAll('scope')
    const token = sign(
      scopes.flatMap((scope) => permitted(scope, { user, ...options })),
      options,
    )
    answer(200, { [isPost ? 'access_token' : 'token']: token, expires_in: options.lifetime })
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

/** Who asks, by a password, and whether that is so. */
function named(authorization: string | undefined, { users }: TokenServerOptions): [string | undefined, boolean] {
  const [user, password] = basicCredentials(authorization)
  return [user, user === undefined || users[user] === password]
}

function identified(form: URLSearchParams, { identityTokens = {} }: TokenServerOptions): [string | undefined, boolean] {
  const user = identityTokens[form.get('refresh_token') ?? '']
  return [user, form.get('grant_type') === 'refresh_token' && user !== undefined]
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
