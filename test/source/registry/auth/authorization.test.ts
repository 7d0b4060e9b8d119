import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForerunError } from '../../../../src/errors.ts'
import { registryOf, testImage } from '../image.ts'
import { amd64, collect, reading } from '../reading.ts'
import { type Handler, serve, type TestServer } from '../server.ts'

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

test('a token is for the repositories that the challenge names, and for no more than the request does', async () => {
  const challenges: [string, string[]][] = [
    ['repository:upstream/library/app:pull', ['repository:upstream/library/app:pull']],
    ['repository:host:5000/app:pull,push', ['repository:host:5000/app:pull']],
    ['repository:team/app:pull repository:base:pull', ['repository:team/app:pull', 'repository:base:pull']],
    ['repository:team/app:pull,push,delete', ['repository:team/app:pull']],
    ['repository:other:delete registry:catalog:*', ['repository:team/app:pull']],
    ['*', ['repository:team/app:pull']],
  ]
  for (const [scope, asked] of challenges) {
    await using authority = await serve(tokens())
    await using server = await serve((request, response) => {
      if (request.headers.authorization === 'Bearer token1') return genuine(request, response)
      const challenge = `Bearer realm="${authority.origin}/token",scope="${scope}"`
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    })
    const { source, context } = reading(server.host)
    await source.manifest(amd64, context)
    await collect(source, image.layerDescriptor, context)
    const urls = authority.requests.map(({ url = '' }) => new URL(url, authority.origin))
    assert.deepEqual(
      urls.map(({ searchParams }) => searchParams.getAll('scope')),
      [asked],
      scope,
    )
  }
})

/** Hides everything from those without a token or a password, and says at `/v2/` alone what it wants. */
function hiding(challenge: string, { status, accepted }: { status: number; accepted: string }): Handler {
  return (request, response) => {
    if (request.headers.authorization === accepted) return genuine(request, response)
    if (request.url === '/v2/') response.writeHead(401, { 'www-authenticate': challenge }).end()
    else response.writeHead(status).end()
  }
}

test('a registry that hides what it has, and asks at /v2/, is told who one is', async () => {
  await using authority = await serve((request, response) => {
    response.end(JSON.stringify({ token: request.headers.authorization === basicOfAnn ? 'hers' : 'anybodys' }))
  })
  const bearer = `Bearer realm="${authority.origin}/token",service="x"`
  for (const status of [401, 403, 404]) {
    for (const [challenge, accepted] of [
      [bearer, 'Bearer hers'],
      ['Basic realm="x"', basicOfAnn],
    ] as const) {
      await using server = await serve(hiding(challenge, { status, accepted }))
      const { source, context } = reading(server.host, { credentials: async () => ann })
      await source.manifest(amd64, context)
      await collect(source, image.layerDescriptor, context)
      const sent = server.requests.filter(({ url }) => url !== '/v2/').map(({ headers }) => headers.authorization)
      assert.deepEqual(sent, [undefined, accepted, accepted], `${status} ${challenge}`)
    }
  }
})

test('a registry that hides what it has is taken at its word by those without credentials, and asked once', async () => {
  for (const [status, code] of [
    [403, 'unauthorized'],
    [404, 'image-not-found'],
  ] as const) {
    await using server = await serve(hiding('Basic realm="x"', { status, accepted: basicOfAnn }))
    const { source, context } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), { code })
    const asked = server.requests.filter(({ url }) => url === '/v2/').length
    await assert.rejects(source.manifest(amd64, context), { code })
    assert.equal(server.requests.filter(({ url }) => url === '/v2/').length, asked)
  }
})

test('a registry that asks nobody, and lacks the image, is not told who one is', async () => {
  await using server = await serve(registryOf({}))
  const { source, context } = reading(server.host, { credentials: async () => ann })
  await assert.rejects(source.manifest(amd64, context), { code: 'image-not-found' })
  assert.deepEqual(new Set(server.requests.map(({ headers }) => headers.authorization)), new Set([undefined]))
})

test('how long a token is good may be said in any way', async () => {
  for (const expires_in of ['3600', 299.5, -1, 0, '', 'soon', null, {}, '1e999']) {
    await using authority = await serve(tokens({ expires_in, issued_at: 1457510670 }))
    await using server = await serve(guarded(authority, (token) => token === 'token1'))
    const { source, context } = reading(server.host)
    await source.manifest(amd64, context)
    await collect(source, image.layerDescriptor, context)
    assert.equal(authority.requests.length, 1, JSON.stringify(expires_in))
  }
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

const ann = { user: 'änn', password: 'sec:ret' }
const basicOfAnn = `Basic ${Buffer.from('änn:sec:ret').toString('base64')}`

/** A registry that wants a password itself. */
function closed(challenge: string, accepted = basicOfAnn): Handler {
  return (request, response) => {
    if (request.headers.authorization === accepted) return genuine(request, response)
    response.writeHead(401, { 'www-authenticate': challenge }).end('{"errors":[{"code":"UNAUTHORIZED"}]}')
  }
}

test('a registry that wants a password gets it after it asked, and from then on at once', async () => {
  await using server = await serve(closed('Basic realm="x", charset="UTF-8"'))
  const { source, context, events } = reading(server.host, { credentials: async () => ann })
  await source.manifest(amd64, context)
  await collect(source, image.layerDescriptor, context)
  const sent = server.requests.map(({ headers }) => headers.authorization)
  assert.deepEqual(sent.slice(1), [undefined, basicOfAnn, basicOfAnn])
  assert.doesNotMatch(JSON.stringify(events), /sec:ret|w6Rubjpz/)
})

test('credentials go to the realm for a token, with the account, and the token to the registry', async () => {
  await using authority = await serve(tokens({ expires_in: 300 }))
  await using server = await serve(guarded(authority, (token) => token === 'token1'))
  const { source, context } = reading(server.host, { credentials: async () => ann })
  await source.manifest(amd64, context)
  assert.equal(authority.requests[0]?.headers.authorization, basicOfAnn)
  assert.equal(new URL(authority.requests[0]?.url ?? '', authority.origin).searchParams.get('account'), 'änn')
  const sent = server.requests.map(({ headers }) => headers.authorization)
  assert.deepEqual(sent.slice(-2), [undefined, 'Bearer token1'])
})

test('of several challenges the token is preferred, and one without a realm is none', async () => {
  await using authority = await serve(tokens())
  const realm = `${authority.origin}/token`
  for (const [challenge, accepted] of [
    [`Basic realm="x", Bearer realm="${realm}",service="y"`, 'Bearer token1'],
    [`Negotiate, Bearer realm="${realm}", Basic realm="x"`, 'Bearer token2'],
    ['Bearer service="y", Basic realm="x"', basicOfAnn],
  ] as const) {
    await using server = await serve(closed(challenge, accepted))
    const { source, context } = reading(server.host, { credentials: async () => ann })
    await source.manifest(amd64, context)
  }
  assert.equal(authority.requests.length, 2)
})

test('requests side by side share one token, and one look for credentials', async () => {
  let looked = 0
  const credentials = async () => {
    looked += 1
    return ann
  }
  const hand = tokens({ expires_in: 300 })
  await using authority = await serve((request, response) => void setTimeout(() => hand(request, response), 30))
  await using server = await serve(guarded(authority, (token) => token === 'token1'))
  const { source, context } = reading(server.host, { credentials })
  await Promise.all(Array.from({ length: 5 }, () => collect(source, image.layerDescriptor, context)))
  assert.deepEqual([authority.requests.length, looked], [1, 1])
})

test('a token that runs out in the midst of a blob is renewed for the rest', async () => {
  await using authority = await serve(tokens({ expires_in: 0.05 }))
  const half = image.layer.length / 2
  const cutting: Handler = (request, response) => {
    if (!request.url?.includes('blobs') || request.headers.range !== undefined) return genuine(request, response)
    response.setHeader('content-length', image.layer.length)
    response.write(image.layer.subarray(0, half))
    setTimeout(() => response.destroy(), 60)
  }
  await using server = await serve((request, response) => {
    const isKnown = request.headers.authorization !== undefined
    return isKnown ? cutting(request, response) : guarded(authority, () => false)(request, response)
  })
  const { source, context } = reading(server.host)
  await source.manifest(amd64, context)
  assert.deepEqual(await collect(source, image.layerDescriptor, context), image.layer)
  const [first, rest] = server.requests.filter(({ url }) => url?.includes('blobs')).slice(-2)
  assert.equal(rest?.headers.range, `bytes=${half}-`)
  assert.notEqual(rest?.headers.authorization, first?.headers.authorization)
})

test('a wrong password ends as one error that names registry and user, and how to log in', async () => {
  const refused: Handler = (_, response) => void response.writeHead(401).end('{"details":"sec:ret is wrong"}')
  await using authority = await serve(refused)
  await using byToken = await serve(guarded(authority, () => true))
  await using byPassword = await serve(closed('Basic realm="x"', 'none'))
  for (const { host } of [byToken, byPassword]) {
    const { source, context, events, retries } = reading(host, { credentials: async () => ann })
    await assert.rejects(source.manifest(amd64, context), (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, 'unauthorized')
      assert.match(error.message, /refuses the user 'änn' access to 127\.0\.0\.1:\d+\/team\/app \(401/)
      assert.match(error.hint, new RegExp(`forerun login ${host}`))
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(events)}`, /sec:ret/)
      return true
    })
    assert.equal(retries().length, 0)
  }
  assert.equal(byToken.requests.filter(({ url }) => url !== '/v2/').length, 1)
  assert.equal(byPassword.requests.filter(({ url }) => url !== '/v2/').length, 2)
})

test('one who may not pull is told so by name', async () => {
  await using authority = await serve(tokens())
  await using server = await serve(guarded(authority, () => false))
  const { source, context } = reading(server.host, { credentials: async () => ann })
  await assert.rejects(source.manifest(amd64, context), { code: 'unauthorized', message: /the user 'änn' access/ })
  const anonymous = reading(server.host)
  await assert.rejects(anonymous.source.manifest(amd64, anonymous.context), { code: 'unauthorized', hint: /log in/ })
})

test('what goes wrong while credentials are looked for is the error', async () => {
  await using server = await serve(closed('Basic realm="x"'))
  const { source, context } = reading(server.host, {
    credentials: async () => {
      throw new ForerunError('credentials', 'the helper failed')
    },
  })
  await assert.rejects(source.manifest(amd64, context), { code: 'credentials', message: 'the helper failed' })
})

test('a registry that asks nobody is told nothing, and the credentials are not even looked for', async () => {
  await using server = await serve(genuine)
  const { source, context } = reading(server.host, { credentials: () => assert.fail('looked for') })
  await source.manifest(amd64, context)
  assert.ok(server.requests.every(({ headers }) => headers.authorization === undefined))
})

test('a server that a blob is redirected to gets neither password nor token', async () => {
  await using storage = await serve(
    (_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic' }).end(),
  )
  await using server = await serve((request, response) => {
    if (!request.url?.includes('blobs')) return closed('Basic realm="x"')(request, response)
    response.writeHead(307, { location: `${storage.origin}/blob` }).end()
  })
  const { source, context } = reading(server.host, { credentials: async () => ann })
  await source.manifest(amd64, context)
  await assert.rejects(collect(source, image.layerDescriptor, context), { code: 'unauthorized' })
  assert.deepEqual(
    storage.requests.map(({ headers }) => headers.authorization),
    [undefined],
  )
})

/** Answers the POST of an identity token, and remembers what was in it. */
function identityServer(forms: URLSearchParams[], status = 200): Handler {
  return (request, response) => {
    if (request.method !== 'POST') return void response.end(JSON.stringify({ token: 'by-get' }))
    request.setEncoding('utf8').on('data', (text: string) => forms.push(new URLSearchParams(text)))
    request.on('end', () => response.writeHead(status).end(JSON.stringify({ access_token: 'by-post' })))
  }
}

test('an identity token is exchanged by POST', async () => {
  const forms: URLSearchParams[] = []
  await using authority = await serve(identityServer(forms))
  await using server = await serve(guarded(authority, (token) => token === 'by-post'))
  const { source, context } = reading(server.host, { credentials: async () => ({ identityToken: 'refresh&me' }) })
  await source.manifest(amd64, context)
  assert.deepEqual(
    forms.map((form) => Object.fromEntries(form)),
    [
      {
        grant_type: 'refresh_token',
        client_id: 'forerun',
        refresh_token: 'refresh&me',
        service: 'the registry',
        scope: 'repository:team/app:pull',
      },
    ],
  )
})

test('a realm that knows no POST gets the identity token as a password', async () => {
  for (const status of [404, 405]) {
    await using authority = await serve(identityServer([], status))
    await using server = await serve(guarded(authority, (token) => token === 'by-get'))
    const { source, context } = reading(server.host, { credentials: async () => ({ identityToken: 'refresh' }) })
    await source.manifest(amd64, context)
    assert.equal(authority.requests[1]?.headers.authorization, `Basic ${btoa('<token>:refresh')}`)
  }
})

test('an identity token that is refused, redirected or of no use ends as one error', async () => {
  const identity = { credentials: async () => ({ identityToken: 'verysecret' }) }
  for (const [status, code, message] of [
    [400, 'unauthorized', /does not take the identity token/],
    [401, 'unauthorized', /refuses the identity token/],
    [307, 'registry', /redirects/],
  ] as const) {
    await using authority = await serve((_, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end('{"error":"invalid_grant"}')
    })
    await using server = await serve(guarded(authority, () => true))
    const { source, context } = reading(server.host, identity)
    await assert.rejects(source.manifest(amd64, context), { code, message, hint: /./ })
    assert.equal(authority.requests.length, 1)
  }
  await using server = await serve(closed('Basic realm="x"'))
  const { source, context } = reading(server.host, identity)
  await assert.rejects(source.manifest(amd64, context), {
    code: 'unauthorized',
    message: /no use for an identity token/,
  })
})

test('a registry on this machine does not send a password over the network in plain text', async () => {
  await using server = await serve(closed('Bearer realm="http://192.0.2.1/token"'))
  const { source, context } = reading(server.host, { credentials: async () => ann })
  await assert.rejects(source.manifest(amd64, context), { code: 'registry', message: /not safe/ })
})

test('what is not a token is told without quoting it', async () => {
  for (const body of ['{"token": verysecret', '{"token":["verysecret"]}', '{"expires_in":"verysecret"}']) {
    await using authority = await serve((_, response) => void response.end(body))
    await using server = await serve(guarded(authority, () => true))
    const { source, context } = reading(server.host)
    await assert.rejects(source.manifest(amd64, context), (error: Error) => {
      assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /verysecret/)
      return true
    })
  }
})
