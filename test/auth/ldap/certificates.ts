import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Authority extends Certificate {
  /** A certificate for names (`DNS:x`, `IP:127.0.0.1`), valid from and until days from now. */
  issue(name: string, names: string, days?: readonly [number, number]): Certificate;
}

const openssl = (folder: string, ...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
const day = (days: number): string =>
  new Date(Date.now() + days * 86_400_000)
    .toISOString()
    .replace(/[-:T]|\.\d+/g, '')
    .slice(0, 14) + 'Z';

/** A certificate authority in a folder, made by openssl. */
export function authority(folder: string, name: string): Authority {
  const file = (one: string, end: string): string => join(folder, `${one}.${end}`);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    folder,
    'req',
    '-x509',
    ...ec,
    '-keyout',
    file(name, 'key'),
    '-out',
    file(name, 'pem'),
    '-subj',
    `/CN=${name}`,
    '-days',
    '30',
    '-addext',
    'keyUsage=critical,keyCertSign',
  );
  return {
    cert: file(name, 'pem'),
    key: file(name, 'key'),
    issue(leaf, names, [from, until] = [-1, 30]) {
      writeFileSync(file(leaf, 'ext'), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`);
      openssl(folder, 'req', '-new', ...ec, '-keyout', file(leaf, 'key'), '-out', file(leaf, 'csr'), '-subj', `/CN=${leaf}`);
      writeFileSync(file(`${leaf}-index`, 'txt'), '');
      writeFileSync(
        file(`${leaf}-ca`, 'conf'),
        `[ca]\ndefault_ca=d\n[d]\ndatabase=${file(`${leaf}-index`, 'txt')}\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n`,
      );
      const signing = ['-config', file(`${leaf}-ca`, 'conf'), '-cert', file(name, 'pem'), '-keyfile', file(name, 'key'), '-extfile', file(leaf, 'ext')];
      const valid = ['-startdate', day(from), '-enddate', day(until)];
      openssl(folder, 'ca', '-batch', '-notext', ...signing, ...valid, '-in', file(leaf, 'csr'), '-out', file(leaf, 'pem'));
      return { cert: file(leaf, 'pem'), key: file(leaf, 'key') };
    },
  };
}
