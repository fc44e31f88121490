/** The engine's thread. */

import { serve } from "./serve";

serve(self);
