// XSLIM_ADDRESS_SANITIZER is defined where the build checks memory accesses: gcc has a macro for it, clang a
// feature.
#ifndef XSLIM_BASE_SANITIZER_H_
#define XSLIM_BASE_SANITIZER_H_

#if defined(__SANITIZE_ADDRESS__)
#define XSLIM_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define XSLIM_ADDRESS_SANITIZER
#endif
#endif

#endif  // XSLIM_BASE_SANITIZER_H_
