# bundle_program(<target> [<folder>...]): link a program with the loader and libraries under SUTFLEET_BUNDLE_PREFIX, so that
# it runs in an image that has no libc of its own: those in lib, and before them what the folders have. DT_RPATH (not RUNPATH)
# is used because only it also applies to the libraries' own dependencies.
function(bundle_program target)
  if(SUTFLEET_BUNDLE_PREFIX)
    target_link_options(${target} PRIVATE
      "LINKER:--dynamic-linker=${SUTFLEET_BUNDLE_PREFIX}/lib/loader"
      "LINKER:--disable-new-dtags")
    foreach(folder ${ARGN} lib)
      target_link_options(${target} PRIVATE "LINKER:-rpath,${SUTFLEET_BUNDLE_PREFIX}/${folder}")
    endforeach()
  endif()
endfunction()
