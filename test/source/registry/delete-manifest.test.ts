import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { registryTarget } from '../../../src/source/registry/registry-target.ts'
import { quick } from './reading.ts'
import { serve } from './server.ts'

const manifest = Buffer.from('{"schemaVersion": 2}')
const digest = digestOf(manifest)

/** Deletes from a registry that has this manifest as team/app:1 and answers a DELETE by `answer`. */
async function deleting(
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  { name = 'team/app:1' }: { name?: string } = {},
): Promise<{ result: PromiseSettledResult<unknown>; asked: string[] }> {
  await using server = await serve((request, response) => {
    if (request.url?.startsWith('/token')) return void response.end('{"token": "t"}')
    if (request.method === 'DELETE') return answer(response, request)
    const isThere = request.url === '/v2/team/app/manifests/1' || request.url === '/v2/'
    return void (isThere ? response.end(manifest) : response.writeHead(404).end())
  })
  await using target = registryTarget(parseReference(`${server.host}/${name}`), quick)
  const context = { signal: new AbortController().signal, emit: () => {} }
  const [result] = await Promise.allSettled([target.deleteManifest?.(context)])
  const asked = server.requests.filter(({ url }) => url !== '/v2/').map(({ method, url }) => `${method} ${url}`)
  return { result, asked }
}

const byDigest = `DELETE /v2/team/app/manifests/${digest}`

test('what a tag stands for is deleted by its digest', async () => {
  for (const status of [200, 202, 204]) {
    const { result, asked } = await deleting((response) => response.writeHead(status).end())
    assert.deepEqual(result, { status: 'fulfilled', value: digest })
    assert.deepEqual(asked, ['GET /v2/team/app/manifests/1', byDigest])
  }
})

test('a digest is deleted without a look at it', async () => {
  const { asked } = await deleting((response) => response.writeHead(202).end(), { name: `team/app@${digest}` })
  assert.deepEqual(asked, [byDigest])
})

test('the token is for deleting', async () => {
  const { result, asked } = await deleting((response, { headers }) => {
    const challenge = { 'www-authenticate': `Bearer realm="http://${headers.host}/token",service="s"` }
    if (headers.authorization === undefined) response.writeHead(401, challenge).end()
    else response.writeHead(202).end()
  })
  assert.equal(result.status, 'fulfilled')
  const scope = new URLSearchParams({ service: 's', scope: 'repository:team/app:pull,push,delete' })
  assert.ok(
    asked.some((line) => decodeURIComponent(line).includes(decodeURIComponent(`${scope}`))),
    asked.join('\n'),
  )
})

for (const [status, code, hint] of [
  [405, 'registry', /storage\.delete\.enabled/],
  [400, 'registry', /storage\.delete\.enabled/],
  [403, 'unauthorized', /^Log in as a user who may delete there/],
  [404, 'image-not-found', /nothing has been deleted/],
] as const) {
  test(`an answer of ${status} is one clear error`, async () => {
    const body = '{"errors": [{"code": "UNSUPPORTED", "message": "The operation is unsupported."}]}'
    const { result, asked } = await deleting((response) => response.writeHead(status).end(body))
    assert.ok(result.status === 'rejected')
    assert.equal(result.reason.code, code)
    assert.match(result.reason.hint, hint)
    assert.equal(asked.filter((line) => line === byDigest).length, 1)
  })
}

test('a tag that is not there is told of, and nothing is asked to be deleted', async () => {
  const { result, asked } = await deleting((response) => response.end(), { name: 'team/app:2' })
  assert.ok(result.status === 'rejected')
  assert.equal(result.reason.code, 'image-not-found')
  assert.deepEqual(asked, ['GET /v2/team/app/manifests/2'])
})

test('a registry that is busy is asked again', async () => {
  let failures = 2
  const { result } = await deleting((response) => response.writeHead(failures-- > 0 ? 503 : 202).end())
  assert.equal(result.status, 'fulfilled')
})
