/** A CA of the form that `puppetserver ca setup` makes: a root, and below it the one that signs; by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

export interface Leaf {
  readonly cert: string;
  readonly key: string;
  /** The certificate's file. */
  readonly file: string;
}

export interface LeafOptions {
  /** The whole subject; `/CN=<name>` when left out. */
  readonly subject?: string;
  readonly names?: readonly string[];
  readonly purposes?: string;
  readonly from?: string;
  readonly until?: string;
  /** Signs as a CA. */
  readonly ca?: boolean;
}

const at = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');

/** One CA: signs, revokes, writes lists. */
class One {
  readonly folder: string;
  readonly name: string;

  constructor(folder: string, name: string) {
    this.folder = join(folder, name);
    this.name = name;
    mkdirSync(join(this.folder, 'certs'), { recursive: true });
    writeFileSync(join(this.folder, 'index'), '');
    writeFileSync(join(this.folder, 'serial'), '01\n');
    writeFileSync(join(this.folder, 'crlnumber'), '01\n');
    writeFileSync(
      join(this.folder, 'openssl.cnf'),
      `[ca]
default_ca = one
[one]
database = ${this.folder}/index
serial = ${this.folder}/serial
crlnumber = ${this.folder}/crlnumber
new_certs_dir = ${this.folder}/certs
certificate = ${this.cert}
private_key = ${this.key}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = optional
organizationName = optional
[req]
distinguished_name = none
prompt = no
[none]
`,
    );
  }

  get cert(): string {
    return join(this.folder, 'ca.pem');
  }

  get key(): string {
    return join(this.folder, 'key.pem');
  }

  openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Signs a request. */
  sign(request: string, out: string, options: LeafOptions, self = false): void {
    const extensions = join(this.folder, 'extensions');
    const lines = options.ca
      ? ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash']
      : [
          'basicConstraints=critical,CA:false',
          'keyUsage=critical,digitalSignature,keyEncipherment',
          `extendedKeyUsage=critical,${options.purposes ?? 'serverAuth,clientAuth'}`,
          ...(options.names ? [`subjectAltName=${options.names.join(',')}`] : []),
        ];
    writeFileSync(extensions, `${lines.join('\n')}\n`);
    const times = ['-startdate', options.from ?? at(-1), '-enddate', options.until ?? at(1000)];
    this.openssl(
      'ca',
      '-batch',
      '-config',
      'openssl.cnf',
      '-notext',
      ...(self ? ['-selfsign'] : []),
      '-in',
      request,
      '-out',
      out,
      '-extfile',
      extensions,
      ...times,
    );
  }

  crl(until?: string): string {
    this.openssl(
      'ca',
      '-config',
      'openssl.cnf',
      '-gencrl',
      '-out',
      'crl.pem',
      ...(until === undefined ? ['-crldays', '30'] : ['-crl_lastupdate', at(-3), '-crl_nextupdate', until]),
    );
    return readFileSync(join(this.folder, 'crl.pem'), 'utf8');
  }
}

/* Some are made within tests, too late for a hook of their own. */
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export class TestCa {
  readonly folder = mkdtempSync(join(tmpdir(), 'corral-ca-'));
  readonly #root: One;
  readonly #signing: One;
  #made = 0;

  constructor(name = 'Puppet') {
    this.#root = new One(this.folder, 'root');
    this.#signing = new One(this.folder, 'signing');
    const request = (one: One, subject: string): void =>
      one.openssl('req', '-config', 'openssl.cnf', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', one.key, '-subj', subject, '-out', 'request.pem');
    request(this.#root, `/CN=${name} Root CA`);
    this.#root.sign('request.pem', this.#root.cert, { ca: true }, true);
    request(this.#signing, `/CN=${name} CA`);
    this.#root.sign(join(this.#signing.folder, 'request.pem'), this.#signing.cert, { ca: true });
    folders.push(this.folder);
  }

  /** Like Puppet's ca_crt.pem. */
  get bundle(): string {
    return readFileSync(this.#signing.cert, 'utf8') + readFileSync(this.#root.cert, 'utf8');
  }

  /** The signing CA alone. */
  get signing(): string {
    return readFileSync(this.#signing.cert, 'utf8');
  }

  /** The signing CA, as one that shows its own certificate. */
  get itself(): Leaf {
    return { cert: this.signing, key: readFileSync(this.#signing.key, 'utf8'), file: this.#signing.cert };
  }

  /** Like Puppet's ca_crl.pem, as of now. */
  crl(until?: string): string {
    return this.#signing.crl(until) + this.#root.crl();
  }

  leaf(name: string, options: LeafOptions = {}): Leaf {
    const file = join(this.folder, `${this.#made++}`);
    const subject = options.subject ?? `/CN=${name}`;
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${file}.key`];
    this.#signing.openssl('req', '-config', 'openssl.cnf', '-new', ...key, '-subj', subject, '-out', `${file}.req`);
    this.#signing.sign(`${file}.req`, `${file}.pem`, options);
    return { cert: readFileSync(`${file}.pem`, 'utf8'), key: readFileSync(`${file}.key`, 'utf8'), file: `${file}.pem` };
  }

  revoke({ file }: Leaf): void {
    this.#signing.openssl('ca', '-config', 'openssl.cnf', '-revoke', file);
  }
}
