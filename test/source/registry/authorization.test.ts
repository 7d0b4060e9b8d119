import assert from 'node:assert/strict'
import { test } from 'node:test'
import { registryOf, testImage } from './image.ts'
import { amd64, collect, reading } from './reading.ts'
import { type Handler, serve, type TestServer } from './server.ts'

const image = testImage()
const genuine = registryOf({ 1: image.manifest }, image)

/** A registry that wants a token from another server; `isValid` says which ones it takes. */
function guarded(authority: TestServer, isValid: (token: string) => boolean): Handler {
  return (request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (token !== undefined && isValid(token)) return genuine(request, response)
    const realm = `Bearer realm="${authority.origin}/token?extra=1",service="the registry",scope="repository:other:push"`
    response.writeHead(401, { 'www-authenticate': realm }).end('{"errors":[{"code":"UNAUTHORIZED"}]}')
  }
}

/** Hands out `token1`, `token2`, … */
function tokens(fields: object = {}): Handler {
  let count = 0
  return (_, response) => {
    count += 1
    response.end(JSON.stringify({ token: `token${count}`, ...fields }))
  }
}

test('a token is got once from the realm, for the repository that is wanted, and used for everything', async () => {
  await using authority = await serve(tokens({ expires_in: 300 }))
  await using server = await serve(guarded(authority, (token) => token === 'token1'))
  const { source, context, events } = reading(server.host)
  await source.manifest(amd64, context)
  await collect(source, image.layerDescriptor, context)
  assert.equal(authority.requests.length, 1)
  const url = new URL(authority.requests[0]?.url ?? '', authority.origin)
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    extra: '1',
    service: 'the registry',
    scope: 'repository:team/app:pull',
  })
  assert.equal(authority.requests[0]?.headers.authorization, undefined)
  assert.doesNotMatch(JSON.stringify(events), /token1/)
})

test('an access_token is taken as a token', async () => {
  await using authority = await serve((_, response) => void response.end('{"access_token":"other"}'))
  await using server = await serve(guarded(authority, (token) => token === 'other'))
  const { source, context } = reading(server.host)
  await source.manifest(amd64, context)
})

test('a token that the registry no longer takes is replaced once per request', async () => {
  await using authority = await serve(tokens({ expires_in: 300 }))
  let valid = 'token1'
  await using server = await serve(guarded(authority, (token) => token === valid))
  const { source, context } = reading(server.host)
  await source.manifest(amd64, context)
  valid = 'token2'
  await collect(source, image.layerDescriptor, context)
  assert.equal(authority.requests.length, 2)
  valid = 'none'
  await assert.rejects(collect(source, image.layerDescriptor, context), { code: 'unauthorized', hint: /spelling/ })
  assert.equal(authority.requests.length, 3)
})

test('a token that runs out is replaced before it is refused', async () => {
  await using authority = await serve(tokens({ expires_in: 0.05 }))
  await using server = await serve(guarded(authority, () => true))
  const { source, context } = reading(server.host)
  await source.manifest(amd64, context)
  await new Promise((resolve) => setTimeout(resolve, 60))
  const before = server.requests.length
  await collect(source, image.layerDescriptor, context)
  assert.equal(server.requests.length, before + 1)
  assert.notEqual(server.requests.at(-1)?.headers.authorization, 'Bearer token1')
})

test('a realm that is busy is asked again', async () => {
  let asked = 0
  const hand = tokens()
  await using authority = await serve((request, response) => {
    asked += 1
    if (asked === 1) response.writeHead(503).end()
    else hand(request, response)
  })
  await using server = await serve(guarded(authority, () => true))
  const { source, context, retries } = reading(server.host)
  await source.manifest(amd64, context)
  assert.equal(retries().length, 1)
})

test('a realm that refuses, or answers with no token, ends as one error', async () => {
  const answers: [number, string, string, RegExp][] = [
    [401, '{"errors":[{"message":"who are you"}]}', 'unauthorized', /who are you/],
    [403, '', 'unauthorized', /403/],
    [404, '', 'registry', /404/],
    [200, '<html>', 'registry', /not a token/],
    [200, '{}', 'registry', /without a token/],
    [200, '{"token":"a\\r\\nb"}', 'registry', /without a token/],
    [200, '{"token":7}', 'registry', /not a token/],
    [200, ' '.repeat(5_000_000), 'limit', /the token/],
  ]
  for (const [status, body, code, message] of answers) {
    await using authority = await serve((_, response) => void response.writeHead(status).end(body))
    await using server = await serve(guarded(authority, () => true))
    const { source, context } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code, message, hint: /./ })
  }
})

test('a registry that wants a password, or sends to an unsafe realm, is refused', async () => {
  const challenges: [string | undefined, string, RegExp][] = [
    ['Basic realm="x"', 'unauthorized', /wants a user and a password for 127\.0\.0\.1:\d+\/team\/app/],
    [undefined, 'unauthorized', /wants a user/],
    ['Bearer service="x"', 'unauthorized', /wants a user/],
    ['Bearer realm="/token"', 'registry', /not safe/],
    ['Bearer realm="file:///etc/passwd"', 'registry', /not safe/],
  ]
  for (const [challenge, code, message] of challenges) {
    await using server = await serve((_, response) => {
      response.writeHead(401, challenge === undefined ? {} : { 'www-authenticate': challenge }).end()
    })
    const { source, context } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code, message, hint: /./ })
  }
})
