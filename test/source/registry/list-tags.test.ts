import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reading } from './reading.ts'
import type { Handler } from './server.ts'
import { serve } from './server.ts'

/** What a source says of the tags in a registry that answers so, and what it was asked. */
async function tagsOf(handler: Handler): Promise<{ result: PromiseSettledResult<unknown>; asked: unknown[] }> {
  await using server = await serve((request, response) => {
    if (request.url === '/v2/') response.end('{}')
    else handler(request, response)
  })
  const { source, context } = reading(server.host)
  await using _source = source
  const [result] = await Promise.allSettled([source.tags?.(context)])
  return { result, asked: server.requests.map(({ url }) => url).filter((url) => url !== '/v2/') }
}

const first = '/v2/team/app/tags/list?n=1000'

test('the tags of a repository are read page by page', async () => {
  const pages: Record<string, [string[], string?]> = {
    [first]: [['1.0', '1.1'], '</v2/team/app/tags/list?n=1000&last=1.1>; rel="next"'],
    '/v2/team/app/tags/list?n=1000&last=1.1': [['1.2', 'no tag\n'], '<list?n=1000&last=1.2>; rel=next'],
    '/v2/team/app/tags/list?n=1000&last=1.2': [['2.0']],
  }
  const { result, asked } = await tagsOf(({ url = '' }, response) => {
    const [tags, link] = pages[url] ?? [[]]
    if (link !== undefined) response.setHeader('link', link)
    response.end(JSON.stringify({ name: 'team/app', tags }))
  })
  assert.deepEqual(result, { status: 'fulfilled', value: ['1.0', '1.1', '1.2', '2.0'] })
  assert.deepEqual(asked, Object.keys(pages))
})

test('no tags are an empty list', async () => {
  const { result } = await tagsOf((_, response) => response.end('{"name": "team/app", "tags": null}'))
  assert.deepEqual(result, { status: 'fulfilled', value: [] })
})

test('a list that goes on elsewhere or without an end, that is none, or of nothing, is refused', async () => {
  const faults: [Handler, string, RegExp][] = [
    [
      (_, response) => response.setHeader('link', '<http://127.0.0.2/x>; rel=next').end('{"tags": []}'),
      'registry',
      /elsewhere/,
    ],
    [
      ({ url }, response) => response.setHeader('link', `<${url}>; rel=next`).end('{"tags": ["a"]}'),
      'registry',
      /without an end/,
    ],
    [(_, response) => response.end('<html>'), 'manifest', /list of tags/],
    [(_, response) => response.writeHead(404).end(), 'image-not-found', /team\/app/],
  ]
  for (const [handler, code, message] of faults) {
    const { result } = await tagsOf(handler)
    assert.ok(result.status === 'rejected')
    assert.equal(result.reason.code, code)
    assert.match(result.reason.message, message)
  }
})
