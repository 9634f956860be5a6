// Feature maps are stored channel-blocked (NCHW4): slices of four channels, one vec4 of {{ stored }} per pixel. Element
// `((n · slices + slice) · height + y) · width + x` holds channels 4·slice … 4·slice + 3 of a pixel. Channels beyond the
// last real one hold finite values that no one reads, or that meet zero weights.
