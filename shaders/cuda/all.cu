// All kernels in one translation unit: a compiler reads the headers once for each architecture.
#include "norms.cu"
#include "embed.cu"
#include "plain.cu"
#include "sampler.cu"
#include "decode.cu"
#include "decode-step.cu"
#include "gemm-wide.cu"
#include "flash.cu"
