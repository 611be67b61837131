/* The header as C: every size, offset and value is what the table says. Compiling is the test. */
#include <nccl.h>
#include <nccl_device.h>
#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "sizeof " #type);
#define OFFSET(type, member, bytes) \
  _Static_assert(offsetof(type, member) == (bytes), "offset of " #type "." #member);
#define VALUE(expression, value) _Static_assert((long long)(expression) == (value), #expression);
#define SIGNATURE(call, type)
#include "facts.inc"

extern ncclConfig_t abiConfig;
ncclConfig_t abiConfig = NCCL_CONFIG_INITIALIZER;
extern ncclCollConfig_t abiCollConfig;
ncclCollConfig_t abiCollConfig = NCCL_COLLCONFIG_INITIALIZER;
extern ncclSimInfo_t abiSimInfo;
ncclSimInfo_t abiSimInfo = NCCL_SIM_INFO_INITIALIZER;
extern ncclEncryptionConfig_t abiEncryption;
ncclEncryptionConfig_t abiEncryption = NCCL_ENCRYPTION_CONFIG_INITIALIZER;
extern ncclCommProperties_t abiProperties;
ncclCommProperties_t abiProperties = NCCL_COMM_PROPERTIES_INITIALIZER;
extern ncclDevCommRequirements_t abiRequirements;
ncclDevCommRequirements_t abiRequirements = NCCL_DEV_COMM_REQUIREMENTS_INITIALIZER;
