import { convergeSuite } from './converge-suite.ts';
import { saltTool } from './converge-tools.ts';
import { whyNoHost } from './host.ts';
import { whyNoSalt } from './salt-rig.ts';

convergeSuite(saltTool(), whyNoHost() ?? whyNoSalt());
