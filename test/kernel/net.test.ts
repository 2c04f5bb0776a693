import { describe, expect, test } from 'vitest';
import { cidr, hostCidr, ip } from '../../src/kernel/net.ts';

const said = (parsed: { success: boolean; data?: unknown; error?: { issues: readonly { message: string }[] } }): unknown =>
  parsed.success ? parsed.data : parsed.error?.issues[0]?.message;

describe('an address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['2001:db8::0007', '2001:db8::7'],
    ['::', '::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ])('%s is %s', (text, canonical) => {
    expect(ip('').parse(text)).toBe(canonical);
  });

  test.each([
    ['192.0.2'],
    ['192.0.2.256'],
    ['192.0.2.7/24'],
    ['0300.0.2.7'],
    ['192.0.2.07'],
    ['0x7f.1'],
    ['3221226000'],
    ['127.1'],
    ['fe80::1%eth0'],
    ['1::2::3'],
    ['12345::'],
    [''],
    ['localhost'],
    [' 192.0.2.7'],
    ['192.0.2.7\n'],
    ['::ffff:192.0.2.300'],
    ['[::1]'],
  ])('%j is none', (text) => {
    expect(said(ip('').safeParse(text))).toMatch(/must be an IPv4 or IPv6 address/);
  });

  test('one that is written in the form of IPv4 in IPv6 has one text only', () => {
    const texts = ['::ffff:192.0.2.1', '::ffff:c000:201', '::FFFF:C000:0201', '0:0:0:0:0:ffff:c000:201'].map((text) => said(ip('').safeParse(text)));
    expect(new Set(texts).size).toBe(1);
  });
});

describe('a network', () => {
  test.each([
    ['203.0.113.0/24', '203.0.113.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['203.0.113.7/32', '203.0.113.7/32'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:db8:0:0::/64', '2001:db8::/64'],
    ['::/0', '::/0'],
    ['2001:db8::1/128', '2001:db8::1/128'],
  ])('%s is %s', (text, canonical) => {
    expect(cidr('').parse(text)).toBe(canonical);
  });

  test.each([
    ['203.0.113.7/24', /host bits set; did you mean 203\.0\.113\.0\/24\?/],
    ['2001:db8::1/64', /host bits set; did you mean 2001:db8::\/64\?/],
    ['203.0.113.0', /CIDR form/],
    ['203.0.113.0/', /CIDR form/],
    ['203.0.113.0/33', /CIDR form/],
    ['203.0.113.0/-1', /CIDR form/],
    ['203.0.113.0/2.5', /CIDR form/],
    ['203.0.113.0/24/24', /CIDR form/],
    ['2001:db8::/129', /CIDR form/],
    ['203.0.113.0/255.255.255.0', /CIDR form/],
    ['/24', /CIDR form/],
  ])('%s is refused', (text, message) => {
    expect(said(cidr('').safeParse(text))).toMatch(message);
  });

  test('has one text for each prefix length', () => {
    expect(said(cidr('').safeParse('203.0.113.0/024'))).not.toBe('203.0.113.0/024');
  });
});

describe("a host's address with its prefix", () => {
  test.each([
    ['192.0.2.10/24', '192.0.2.10/24'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['2001:DB8::000A/64', '2001:db8::a/64'],
  ])('%s is %s', (text, canonical) => {
    expect(hostCidr('').parse(text)).toBe(canonical);
  });

  test.each([['192.0.2.10'], ['192.0.2.10/33'], ['x/24'], ['192.0.2.10/24/1']])('%s is none', (text) => {
    expect(said(hostCidr('').safeParse(text))).toMatch(/prefix length/);
  });

  test('has one text for each prefix length', () => {
    expect(said(hostCidr('').safeParse('192.0.2.10/024'))).not.toBe('192.0.2.10/024');
  });
});

test('what is no text is refused, not thrown', () => {
  for (const value of [7, null, {}, ['192.0.2.7'], true])
    for (const schema of [ip(''), cidr(''), hostCidr('')]) expect(schema.safeParse(value).success).toBe(false);
});
