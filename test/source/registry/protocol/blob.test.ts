import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { digestOf } from '../../../../src/image/digest.ts'
import { registryOf, testImage } from '../image.ts'
import { collect, reading } from '../reading.ts'
import { type Handler, serve } from '../server.ts'

const image = testImage({ layerSize: 1_000_000 })
const layer = image.layerDescriptor
const genuine = registryOf({}, image)

/** Serves the layer, but answers the first requests for it by these handlers. */
function faulty(...faults: Handler[]): Handler {
  return (request, response) => {
    const fault = request.url?.includes('/blobs/') ? faults.shift() : undefined
    if (fault === undefined) genuine(request, response)
    else fault(request, response)
  }
}

/** Sends what was asked for up to byte `end` of the layer, and cuts the connection. */
function cutAt(end: number): Handler {
  return (request, response) => {
    const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
    response.setHeader('content-length', layer.size - start)
    if (start > 0) response.writeHead(206, { 'content-range': `bytes ${start}-${layer.size - 1}/${layer.size}` })
    response.write(image.layer.subarray(start, end), () => response.socket?.destroy())
  }
}

test('a blob whose transfer is cut goes on from the same byte', async () => {
  await using server = await serve(faulty(cutAt(100_000), cutAt(700_000)))
  const { source, context, retries } = reading(server.host)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  const starts = server.requests.map(({ headers }) => Number(/\d+/.exec(headers.range ?? '')?.[0] ?? 0))
  assert.equal(retries().length, 2)
  // A cut loses what the kernel had not delivered yet: what matters is that each request goes on where the last one was.
  const [second = 0, third = 0] = starts.slice(-2)
  assert.ok(second > 0 && second <= 100_000 && third >= second && third <= 700_000, String(starts))
})

test('a registry that ignores the range sends the blob anew, and no byte comes twice', async () => {
  const whole: Handler = (_, response) => void response.end(image.layer)
  await using server = await serve(faulty(cutAt(300_001), whole))
  const { source, context } = reading(server.host)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
})

test('a registry that answers with another range is refused', async () => {
  for (const range of ['bytes 0-999999/1000000', 'bytes 500000-1500000/1000000', 'bytes 100000-999999/7', 'none']) {
    const wrong: Handler = (_, response) => void response.writeHead(206, { 'content-range': range }).end(image.layer)
    await using server = await serve(faulty(cutAt(100_000), wrong))
    const { source, context } = reading(server.host)
    await assert.rejects(collect(source, layer, context), { code: 'registry', message: /another range/ })
  }
})

test('a part of a range is taken, and the rest asked for', async () => {
  const part: Handler = (request, response) => {
    const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0])
    const end = start + 50_000
    response.writeHead(206, { 'content-range': `bytes ${start}-${end - 1}/${layer.size}` })
    response.end(image.layer.subarray(start, end))
  }
  await using server = await serve(faulty(cutAt(100_000), part))
  const { source, context } = reading(server.host)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
})

test('a blob that is longer or shorter than its descriptor says is refused, and never more than its size delivered', async () => {
  const answers: Handler[] = [
    (_, response) =>
      void response.setHeader('content-length', layer.size + 1).end(Buffer.concat([image.layer, Buffer.of(0)])),
    (_, response) => void response.end(image.layer.subarray(1)),
    (_, response) => {
      response.write(image.layer)
      response.end('more')
    },
    (_, response) => {
      response.write(image.layer.subarray(0, 5))
      response.end()
    },
  ]
  for (const answer of answers) {
    await using server = await serve(faulty(answer))
    const { source, context, retries } = reading(server.host)
    let received = 0
    const read = async () => {
      for await (const chunk of source.blob(layer, context)) received += chunk.length
    }
    await assert.rejects(read, { code: 'digest', message: /bytes where its manifest says 1000000/ })
    assert.ok(received <= layer.size)
    assert.equal(retries().length, 0)
  }
})

test('an answer without a length that ends too early counts as cut', async () => {
  const bare: Handler = (_, response) => {
    response.socket?.end(
      Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'), image.layer.subarray(0, 999)]),
    )
  }
  await using server = await serve(faulty(bare))
  const { source, context, retries } = reading(server.host)
  assert.ok((await collect(source, layer, context)).equals(image.layer))
  assert.equal(retries().length, 1)
})

test('a registry that falls silent is given up and asked again', async () => {
  const silent: Handler = () => {}
  const stalled: Handler = (_, response) => void response.setHeader('content-length', layer.size).write('x'.repeat(9))
  await using server = await serve(faulty(silent, stalled))
  const { source, context, events } = reading(server.host)
  await collect(source, layer, context)
  const reasons = events.flatMap((event) => (event.type === 'retry' ? [event.reason] : []))
  assert.match(reasons[0] ?? '', /took the request and fell silent/)
  assert.match(reasons[1] ?? '', /in the middle of an answer/)
})

test('a registry that goes away in the middle of a layer ends as one error after the retries', async () => {
  const server = await serve(faulty(cutAt(100_000)))
  const { source, context, retries } = reading(server.host, { retries: 3 })
  const read = async () => {
    for await (const _ of source.blob(layer, context)) await server[Symbol.asyncDispose]()
  }
  await assert.rejects(read, { code: 'registry', message: /refuses the connection, after 4 attempts/, hint: /runs/ })
  assert.equal(retries().length, 3)
})

test('a blob that is gone is named', async () => {
  await using server = await serve(registryOf({}))
  const { source, context } = reading(server.host)
  await assert.rejects(collect(source, layer, context), {
    code: 'registry',
    message: new RegExp(`lacks ${layer.digest}`),
  })
})

test('an abort ends a transfer at once, wherever it is', async () => {
  const places: [string, Handler][] = [
    ['before the answer', () => {}],
    ['in the body', (_, response) => void response.setHeader('content-length', layer.size).write('x')],
    ['between attempts', (_, response) => void response.writeHead(503, { 'retry-after': '2' }).end()],
  ]
  for (const [place, fault] of places) {
    await using server = await serve(faulty(fault))
    const { source, context, controller } = reading(server.host, { timeouts: { headers: 5_000, idle: 5_000 } })
    const started = performance.now()
    setTimeout(() => controller.abort(), 100)
    await assert.rejects(collect(source, layer, context), { code: 'interrupted' }, place)
    // Long before the time limits; a busy machine takes its time.
    assert.ok(performance.now() - started < 4_000, place)
  }
})

test('a reader that stops early closes the connection', async () => {
  let closed = false
  const endless: Handler = (_, response) => {
    response.on('close', () => {
      closed = true
    })
    response.setHeader('content-length', layer.size).write('x')
  }
  await using server = await serve(faulty(endless))
  const { source, context } = reading(server.host, { timeouts: { idle: 10_000 } })
  for await (const _ of source.blob(layer, context)) break
  const deadline = performance.now() + 2_000
  while (!closed && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(closed)
})

test('no more is read than the reader takes', async () => {
  const big = { ...layer, size: 200_000_000 }
  let sent = 0
  const chunk = Buffer.alloc(1_000_000)
  await using server = await serve((request, response) => {
    if (request.url === '/v2/') return void response.end()
    response.setHeader('content-length', big.size)
    const more = () => {
      while (sent < big.size && !response.destroyed) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
    }
    more()
  })
  const { source, context } = reading(server.host)
  for await (const _ of source.blob(big, context)) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    break
  }
  // What the kernel's buffers hold on both sides is some megabytes. The pause was longer than the idle timeout, too.
  assert.ok(sent < 60_000_000, `${sent} bytes were sent`)
})

test('an empty blob has no bytes', async () => {
  await using server = await serve(genuine)
  const { source, context } = reading(server.host)
  assert.equal((await collect(source, { ...layer, size: 0 }, context)).length, 0)
})

test('a blob that was compressed for the way alone is decompressed, and asked for whole where it broke off', async () => {
  const wrapped = gzipSync(image.layer)
  const sent: Handler[] = [
    (_, response) => void response.setHeader('content-encoding', 'gzip').end(wrapped),
    (_, response) => {
      response.setHeader('content-encoding', 'x-gzip').write(wrapped.subarray(0, 9_000))
      response.end(wrapped.subarray(9_000))
    },
    (_, response) => {
      response.setHeader('content-encoding', 'gzip').setHeader('content-length', wrapped.length)
      response.write(wrapped.subarray(0, 500_000), () => response.socket?.destroy())
    },
  ]
  for (const [index, handler] of sent.entries()) {
    const part: Handler = (request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0])
      response.setHeader('content-range', `bytes ${start}-${wrapped.length - 1}/${wrapped.length}`)
      response.writeHead(206, { 'content-encoding': 'gzip' }).end(wrapped.subarray(start))
    }
    const [again] = sent
    await using server = await serve(faulty(handler, part, again as Handler))
    const { source, context, retries } = reading(server.host)
    const plain = { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' }
    assert.ok((await collect(source, plain, context)).equals(image.layer), String(index))
    assert.equal(retries().length, index === 2 ? 1 : 0)
  }
})

test('a blob that is gzip itself is left as it is, whatever its storage says of it', async () => {
  const blob = gzipSync(Buffer.alloc(100_000, 'tar'))
  const described = { ...layer, digest: digestOf(blob), size: blob.length }
  const answers: [string, Buffer, number | undefined][] = [
    ['gzip', blob, blob.length],
    ['gzip', blob, undefined],
    ['gzip', gzipSync(blob), undefined],
    ['identity', blob, undefined],
    ['', blob, undefined],
    ['aws-chunked', blob, undefined],
    ['br', blob, blob.length],
  ]
  for (const [encoding, bytes, length] of answers) {
    await using server = await serve((request, response) => {
      if (request.url === '/v2/') return void response.end()
      response.setHeader('content-encoding', encoding)
      if (length !== undefined) response.setHeader('content-length', length)
      response.write(bytes.subarray(0, 5))
      response.end(bytes.subarray(5))
    })
    const { source, context } = reading(server.host)
    assert.ok((await collect(source, described, context)).equals(blob), encoding)
  }
  assert.equal(gunzipSync(blob).length, 100_000)
})

test('an encoding that is not known, damaged, or hides more than the blob is refused', async () => {
  const answers: [string, Buffer, object][] = [
    ['br', Buffer.from('x'), { code: 'registry', message: /in the encoding br, though it was asked not to/ }],
    ['gzip, gzip', Buffer.from('x'), { code: 'registry', message: /in the encoding gzip, gzip/ }],
    [
      'gzip',
      Buffer.concat([gzipSync(image.layer).subarray(0, 99), Buffer.alloc(99_999, 7)]),
      { code: 'registry', message: /damaged gzip/ },
    ],
    ['gzip', gzipSync(Buffer.alloc(50_000_000)), { code: 'digest', message: /has more bytes/ }],
    ['gzip', gzipSync(Buffer.alloc(5)), { code: 'digest', message: /has 5 bytes/ }],
    [
      'gzip',
      gzipSync(image.layer).subarray(0, 5_000),
      { code: 'registry', message: /damaged gzip data, after 2 attempts/ },
    ],
  ]
  for (const [encoding, bytes, error] of answers) {
    await using server = await serve((request, response) => {
      if (request.url === '/v2/') return void response.end()
      response.setHeader('content-encoding', encoding).end(bytes)
    })
    const { source, context } = reading(server.host, { retries: 1 })
    await assert.rejects(collect(source, layer, context), error)
  }
})

test('a whole blob may come as a range nobody asked for, or through a proxy that says so', async () => {
  const answers: Handler[] = [
    (_, response) =>
      void response.writeHead(206, { 'content-range': `bytes 0-${layer.size - 1}/${layer.size}` }).end(image.layer),
    (_, response) => void response.writeHead(203).end(image.layer),
  ]
  for (const answer of answers) {
    await using server = await serve(faulty(answer))
    const { source, context } = reading(server.host)
    assert.ok((await collect(source, layer, context)).equals(image.layer))
  }
})

test('a reader that leaves a blob compressed for the way closes the connection', async () => {
  const closed = Promise.withResolvers<void>()
  const endless: Handler = (_, response) => {
    response.on('close', closed.resolve)
    response.setHeader('content-encoding', 'gzip').write(gzipSync(image.layer).subarray(0, 200_000))
  }
  await using server = await serve(faulty(endless))
  const { source, context } = reading(server.host, { timeouts: { idle: 60_000 } })
  for await (const _ of source.blob(layer, context)) break
  await closed.promise
})
