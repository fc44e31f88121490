"""The subject: mlpconv layers, global average pooling, the networks built from them (torch; no files, no prints)."""
