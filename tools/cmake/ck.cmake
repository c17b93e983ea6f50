# Sets CK_INCLUDE_DIR: Concurrency Kit's headers, which are all that the library needs of it. Those
# that are installed, else (DS_FETCH_CK) those of its repository, taken while configuring: not every
# distribution has a package.
option(DS_FETCH_CK "Take Concurrency Kit from its repository where it is not installed" ON)
set(DS_CK_REPOSITORY https://github.com/concurrencykit/ck CACHE STRING "For DS_FETCH_CK")
set(DS_CK_VERSION 0.7.1)

function(ds_fetch_ck folder)
  find_program(GIT_PROGRAM git)
  if(NOT GIT_PROGRAM OR EXISTS ${folder}/include/ck_md.h)
    return()
  endif()
  message(STATUS "Taking Concurrency Kit ${DS_CK_VERSION} from ${DS_CK_REPOSITORY}")
  file(REMOVE_RECURSE ${folder})
  execute_process(COMMAND ${GIT_PROGRAM} clone -q --depth 1 --branch ${DS_CK_VERSION}
    -c advice.detachedHead=false ${DS_CK_REPOSITORY} ${folder} RESULT_VARIABLE result)
  if(result EQUAL 0) # makes ck_md.h, what the headers know of the machine
    execute_process(COMMAND ./configure WORKING_DIRECTORY ${folder} OUTPUT_QUIET)
  endif()
endfunction()

find_path(CK_INCLUDE_DIR ck_ring.h)
if(NOT CK_INCLUDE_DIR AND DS_FETCH_CK)
  ds_fetch_ck(${PROJECT_BINARY_DIR}/ck)
  if(EXISTS ${PROJECT_BINARY_DIR}/ck/include/ck_md.h)
    set(CK_INCLUDE_DIR ${PROJECT_BINARY_DIR}/ck/include CACHE PATH "" FORCE)
  endif()
endif()
if(NOT CK_INCLUDE_DIR)
  message(FATAL_ERROR "Concurrency Kit's headers are missing: install libck-dev (Debian) or "
    "concurrencykit (Arch, from the AUR), or name their folder: -DCK_INCLUDE_DIR=...")
endif()
