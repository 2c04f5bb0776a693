/* The same tests as with `npm test`, which skips them where slapd is not installed. */
import '../auth/ldap/login.test.ts';
import '../auth/ldap/connect.test.ts';
