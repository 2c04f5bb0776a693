import { convergeSuite } from './converge-suite.ts';
import { puppetTool } from './converge-tools.ts';
import { whyNoHost } from './host.ts';
import { whyNoPuppetserver } from './puppet-rig.ts';

convergeSuite(puppetTool(), whyNoHost() ?? whyNoPuppetserver());
