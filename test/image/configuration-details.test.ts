import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { copiesElsewhere, parseConfigurationDetails } from '../../src/image/configuration-details.ts'

const parse = (document: object, layers: number) => {
  return parseConfigurationDetails(Buffer.from(JSON.stringify(document)), { layers })
}

test('the history tells of the layers when it has a step for each', () => {
  const history = [{ created_by: 'a' }, { created_by: 'CMD x', empty_layer: true }, {}]
  assert.deepEqual(parse({ history }, 2), { createdBy: ['a', ''] })
  assert.deepEqual(parse({ history }, 3), {})
  assert.deepEqual(parse({ history: null, config: null }, 1), {})
})

test('a health check is kept as it is', () => {
  const healthCheck = { Test: ['CMD', 'x'], Interval: 5_000_000_000 }
  assert.deepEqual(parse({ config: { Healthcheck: healthCheck } }, 1), { healthCheck })
})

test('a malformed history is told of', () => {
  assert.throws(() => parse({ history: [{ created_by: 1 }] }, 1), {
    code: 'manifest',
    message: /history\[0\]\.created_by/,
  })
})

describe('a layer was copied to where /exports is not', () => {
  for (const step of [
    'COPY app /usr/bin/ # buildkit',
    'COPY --chown=1:1 a b /etc/app # buildkit',
    '/bin/sh -c #(nop) COPY file:1234abcd in /usr/bin/app ',
    '/bin/sh -c #(nop) ADD multi:1234abcd in /usr/bin/ ',
    'ADD https://example.org/x /opt/x # buildkit',
    'COPY a /var/lib/exports',
  ]) {
    test(step, () => assert.equal(copiesElsewhere(step), true))
  }
})

describe('a layer may hold /exports', () => {
  for (const step of [
    '',
    'RUN /bin/sh -c mkdir /exports # buildkit',
    'COPY exports / # buildkit',
    'COPY exports /exports/ # buildkit',
    'COPY exports /exports/hostfs/usr # buildkit',
    '/bin/sh -c #(nop) ADD file:1234abcd in / ',
    'COPY a usr/bin # buildkit',
    'COPY a $HOME # buildkit',
    'COPY ["a", "/usr/bin"] # buildkit',
    'COPY a /usr/../exports # buildkit',
    'COPY a /usr/./../exports',
    'COPY a /data/x # buildkit',
    'WORKDIR /usr',
    'RUN cp a /usr && echo COPY a /usr',
    'COPY a /usr/bin && x',
  ]) {
    test(step, () => assert.equal(copiesElsewhere(step), false))
  }
})
