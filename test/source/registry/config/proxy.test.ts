import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProxy, proxyFor } from '../../../../src/source/registry/config/proxy.ts'

const chosen = (address: string, environment: Record<string, string>) => proxyFor(new URL(address), environment)?.href

test('the proxy is chosen by the scheme of the address; upper case goes before lower, and empty is not set', () => {
  const environment = { HTTP_PROXY: 'http://plain:1', HTTPS_PROXY: 'http://secure:2', https_proxy: 'http://other:3' }
  assert.equal(chosen('http://registry.example/', environment), 'http://plain:1/')
  assert.equal(chosen('https://registry.example/', environment), 'http://secure:2/')
  assert.equal(chosen('https://registry.example/', { HTTPS_PROXY: '', https_proxy: 'other:3' }), 'http://other:3/')
  assert.equal(chosen('https://registry.example/', { HTTP_PROXY: 'http://plain:1' }), undefined)
})

test('this host itself is never asked through a proxy', () => {
  for (const host of ['localhost:5000', '127.0.0.1', '127.8.8.8:5000', '[::1]:5000']) {
    assert.equal(chosen(`https://${host}/`, { HTTPS_PROXY: 'http://proxy:1' }), undefined, host)
  }
})

test('NO_PROXY excepts hosts, domains, addresses, ranges and ports, and nothing else', () => {
  const cases: [exception: string, address: string, isExcepted: boolean][] = [
    ['*', 'https://registry.example', true],
    ['registry.example', 'https://registry.example', true],
    ['example', 'https://registry.example', true],
    ['Registry.Example', 'https://registry.example', true],
    ['ample', 'https://registry.example', false],
    ['.example', 'https://registry.example', true],
    ['.registry.example', 'https://registry.example', false],
    ['*.example', 'https://registry.example', true],
    ['registry.example:443', 'https://registry.example', true],
    ['registry.example:5000', 'https://registry.example', false],
    ['registry.example:5000', 'https://registry.example:5000', true],
    ['one, registry.example ,two', 'https://registry.example', true],
    ['10.0.0.0/8', 'https://10.1.2.3:5000', true],
    ['10.0.0.0/8', 'https://11.1.2.3:5000', false],
    ['10.0.0.0/99', 'https://10.1.2.3:5000', false],
    ['10.1.2.3', 'https://10.1.2.3', true],
    ['10.1.2.3:80', 'https://10.1.2.3', false],
    ['fd00::/8', 'https://[fd00::7]:5000', true],
    ['fd00::7', 'https://[fd00:0::7]', true],
    ['[fd00::7]:5000', 'https://[fd00::7]:5000', true],
    ['[fd00::7]:5001', 'https://[fd00::7]:5000', false],
    [',,', 'https://registry.example', false],
  ]
  for (const [exception, address, isExcepted] of cases) {
    const proxy = chosen(address, { HTTPS_PROXY: 'http://proxy:1', NO_PROXY: exception })
    assert.equal(proxy, isExcepted ? undefined : 'http://proxy:1/', `${exception} for ${address}`)
    assert.equal(chosen(address, { https_proxy: 'http://proxy:1', no_proxy: exception }), proxy)
  }
})

test('a proxy is an address with or without a scheme, and what is none is refused without being quoted', () => {
  assert.equal(parseProxy('user:secret@proxy:3128')?.href, 'http://user:secret@proxy:3128/')
  assert.equal(parseProxy('https://proxy')?.protocol, 'https:')
  assert.equal(parseProxy('socks5://proxy:1080')?.hostname, 'proxy')
  for (const text of ['ftp://proxy', 'http://', 'http://:secret@', '://', 'http://[', 'http://%zz:secret@proxy']) {
    assert.equal(parseProxy(text), undefined, text)
    assert.throws(() => chosen('http://registry.example', { HTTP_PROXY: text }), {
      code: 'settings',
      message: 'HTTP_PROXY is not the address of a proxy',
    })
  }
})
