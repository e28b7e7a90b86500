"""Numbers of forms and operations. Generated from isa/table.txt by `python -m tools.generate`; not to be edited."""

from typing import Final

FORM_COUNT: Final = 650

F_ADD_AL_imm8: Final = 0
F_ADD_AX_imm16: Final = 1
F_ADD_EAX_imm32: Final = 2
F_ADD_rm8_imm8: Final = 3
F_ADD_rm8_imm8_82_0: Final = 4
F_ADD_rm16_imm16: Final = 5
F_ADD_rm32_imm32: Final = 6
F_ADD_rm16_imm8: Final = 7
F_ADD_rm32_imm8: Final = 8
F_ADD_rm8_r8: Final = 9
F_ADD_rm16_r16: Final = 10
F_ADD_rm32_r32: Final = 11
F_ADD_r8_rm8: Final = 12
F_ADD_r16_rm16: Final = 13
F_ADD_r32_rm32: Final = 14
F_OR_AL_imm8: Final = 15
F_OR_AX_imm16: Final = 16
F_OR_EAX_imm32: Final = 17
F_OR_rm8_imm8: Final = 18
F_OR_rm8_imm8_82_1: Final = 19
F_OR_rm16_imm16: Final = 20
F_OR_rm32_imm32: Final = 21
F_OR_rm16_imm8: Final = 22
F_OR_rm32_imm8: Final = 23
F_OR_rm8_r8: Final = 24
F_OR_rm16_r16: Final = 25
F_OR_rm32_r32: Final = 26
F_OR_r8_rm8: Final = 27
F_OR_r16_rm16: Final = 28
F_OR_r32_rm32: Final = 29
F_ADC_AL_imm8: Final = 30
F_ADC_AX_imm16: Final = 31
F_ADC_EAX_imm32: Final = 32
F_ADC_rm8_imm8: Final = 33
F_ADC_rm8_imm8_82_2: Final = 34
F_ADC_rm16_imm16: Final = 35
F_ADC_rm32_imm32: Final = 36
F_ADC_rm16_imm8: Final = 37
F_ADC_rm32_imm8: Final = 38
F_ADC_rm8_r8: Final = 39
F_ADC_rm16_r16: Final = 40
F_ADC_rm32_r32: Final = 41
F_ADC_r8_rm8: Final = 42
F_ADC_r16_rm16: Final = 43
F_ADC_r32_rm32: Final = 44
F_SBB_AL_imm8: Final = 45
F_SBB_AX_imm16: Final = 46
F_SBB_EAX_imm32: Final = 47
F_SBB_rm8_imm8: Final = 48
F_SBB_rm8_imm8_82_3: Final = 49
F_SBB_rm16_imm16: Final = 50
F_SBB_rm32_imm32: Final = 51
F_SBB_rm16_imm8: Final = 52
F_SBB_rm32_imm8: Final = 53
F_SBB_rm8_r8: Final = 54
F_SBB_rm16_r16: Final = 55
F_SBB_rm32_r32: Final = 56
F_SBB_r8_rm8: Final = 57
F_SBB_r16_rm16: Final = 58
F_SBB_r32_rm32: Final = 59
F_AND_AL_imm8: Final = 60
F_AND_AX_imm16: Final = 61
F_AND_EAX_imm32: Final = 62
F_AND_rm8_imm8: Final = 63
F_AND_rm8_imm8_82_4: Final = 64
F_AND_rm16_imm16: Final = 65
F_AND_rm32_imm32: Final = 66
F_AND_rm16_imm8: Final = 67
F_AND_rm32_imm8: Final = 68
F_AND_rm8_r8: Final = 69
F_AND_rm16_r16: Final = 70
F_AND_rm32_r32: Final = 71
F_AND_r8_rm8: Final = 72
F_AND_r16_rm16: Final = 73
F_AND_r32_rm32: Final = 74
F_SUB_AL_imm8: Final = 75
F_SUB_AX_imm16: Final = 76
F_SUB_EAX_imm32: Final = 77
F_SUB_rm8_imm8: Final = 78
F_SUB_rm8_imm8_82_5: Final = 79
F_SUB_rm16_imm16: Final = 80
F_SUB_rm32_imm32: Final = 81
F_SUB_rm16_imm8: Final = 82
F_SUB_rm32_imm8: Final = 83
F_SUB_rm8_r8: Final = 84
F_SUB_rm16_r16: Final = 85
F_SUB_rm32_r32: Final = 86
F_SUB_r8_rm8: Final = 87
F_SUB_r16_rm16: Final = 88
F_SUB_r32_rm32: Final = 89
F_XOR_AL_imm8: Final = 90
F_XOR_AX_imm16: Final = 91
F_XOR_EAX_imm32: Final = 92
F_XOR_rm8_imm8: Final = 93
F_XOR_rm8_imm8_82_6: Final = 94
F_XOR_rm16_imm16: Final = 95
F_XOR_rm32_imm32: Final = 96
F_XOR_rm16_imm8: Final = 97
F_XOR_rm32_imm8: Final = 98
F_XOR_rm8_r8: Final = 99
F_XOR_rm16_r16: Final = 100
F_XOR_rm32_r32: Final = 101
F_XOR_r8_rm8: Final = 102
F_XOR_r16_rm16: Final = 103
F_XOR_r32_rm32: Final = 104
F_CMP_AL_imm8: Final = 105
F_CMP_AX_imm16: Final = 106
F_CMP_EAX_imm32: Final = 107
F_CMP_rm8_imm8: Final = 108
F_CMP_rm8_imm8_82_7: Final = 109
F_CMP_rm16_imm16: Final = 110
F_CMP_rm32_imm32: Final = 111
F_CMP_rm16_imm8: Final = 112
F_CMP_rm32_imm8: Final = 113
F_CMP_rm8_r8: Final = 114
F_CMP_rm16_r16: Final = 115
F_CMP_rm32_r32: Final = 116
F_CMP_r8_rm8: Final = 117
F_CMP_r16_rm16: Final = 118
F_CMP_r32_rm32: Final = 119
F_TEST_AL_imm8: Final = 120
F_TEST_AX_imm16: Final = 121
F_TEST_EAX_imm32: Final = 122
F_TEST_rm8_imm8: Final = 123
F_TEST_rm8_imm8_F6_1: Final = 124
F_TEST_rm16_imm16: Final = 125
F_TEST_rm16_imm16_F7_1: Final = 126
F_TEST_rm32_imm32: Final = 127
F_TEST_rm32_imm32_F7_1: Final = 128
F_TEST_rm8_r8: Final = 129
F_TEST_rm16_r16: Final = 130
F_TEST_rm32_r32: Final = 131
F_INC_rm8: Final = 132
F_INC_rm16: Final = 133
F_INC_rm32: Final = 134
F_INC_r16: Final = 135
F_INC_r32: Final = 136
F_DEC_rm8: Final = 137
F_DEC_rm16: Final = 138
F_DEC_rm32: Final = 139
F_DEC_r16: Final = 140
F_DEC_r32: Final = 141
F_NOT_rm8: Final = 142
F_NOT_rm16: Final = 143
F_NOT_rm32: Final = 144
F_NEG_rm8: Final = 145
F_NEG_rm16: Final = 146
F_NEG_rm32: Final = 147
F_MUL_rm8: Final = 148
F_MUL_rm16: Final = 149
F_MUL_rm32: Final = 150
F_IMUL_rm8: Final = 151
F_IMUL_rm16: Final = 152
F_IMUL_rm32: Final = 153
F_DIV_rm8: Final = 154
F_DIV_rm16: Final = 155
F_DIV_rm32: Final = 156
F_IDIV_rm8: Final = 157
F_IDIV_rm16: Final = 158
F_IDIV_rm32: Final = 159
F_IMUL_r16_rm16: Final = 160
F_IMUL_r32_rm32: Final = 161
F_IMUL_r16_rm16_imm8: Final = 162
F_IMUL_r32_rm32_imm8: Final = 163
F_IMUL_r16_rm16_imm16: Final = 164
F_IMUL_r32_rm32_imm32: Final = 165
F_DAA: Final = 166
F_DAS: Final = 167
F_AAA: Final = 168
F_AAS: Final = 169
F_AAM_imm8: Final = 170
F_AAD_imm8: Final = 171
F_CBW: Final = 172
F_CWDE: Final = 173
F_CWD: Final = 174
F_CDQ: Final = 175
F_ROL_rm8_1: Final = 176
F_ROL_rm8_CL: Final = 177
F_ROL_rm8_imm8: Final = 178
F_ROL_rm16_1: Final = 179
F_ROL_rm16_CL: Final = 180
F_ROL_rm16_imm8: Final = 181
F_ROL_rm32_1: Final = 182
F_ROL_rm32_CL: Final = 183
F_ROL_rm32_imm8: Final = 184
F_ROR_rm8_1: Final = 185
F_ROR_rm8_CL: Final = 186
F_ROR_rm8_imm8: Final = 187
F_ROR_rm16_1: Final = 188
F_ROR_rm16_CL: Final = 189
F_ROR_rm16_imm8: Final = 190
F_ROR_rm32_1: Final = 191
F_ROR_rm32_CL: Final = 192
F_ROR_rm32_imm8: Final = 193
F_RCL_rm8_1: Final = 194
F_RCL_rm8_CL: Final = 195
F_RCL_rm8_imm8: Final = 196
F_RCL_rm16_1: Final = 197
F_RCL_rm16_CL: Final = 198
F_RCL_rm16_imm8: Final = 199
F_RCL_rm32_1: Final = 200
F_RCL_rm32_CL: Final = 201
F_RCL_rm32_imm8: Final = 202
F_RCR_rm8_1: Final = 203
F_RCR_rm8_CL: Final = 204
F_RCR_rm8_imm8: Final = 205
F_RCR_rm16_1: Final = 206
F_RCR_rm16_CL: Final = 207
F_RCR_rm16_imm8: Final = 208
F_RCR_rm32_1: Final = 209
F_RCR_rm32_CL: Final = 210
F_RCR_rm32_imm8: Final = 211
F_SHL_rm8_1: Final = 212
F_SHL_rm8_CL: Final = 213
F_SHL_rm8_imm8: Final = 214
F_SHL_rm16_1: Final = 215
F_SHL_rm16_CL: Final = 216
F_SHL_rm16_imm8: Final = 217
F_SHL_rm32_1: Final = 218
F_SHL_rm32_CL: Final = 219
F_SHL_rm32_imm8: Final = 220
F_SHR_rm8_1: Final = 221
F_SHR_rm8_CL: Final = 222
F_SHR_rm8_imm8: Final = 223
F_SHR_rm16_1: Final = 224
F_SHR_rm16_CL: Final = 225
F_SHR_rm16_imm8: Final = 226
F_SHR_rm32_1: Final = 227
F_SHR_rm32_CL: Final = 228
F_SHR_rm32_imm8: Final = 229
F_SHL_rm8_1_D0_6: Final = 230
F_SHL_rm8_CL_D2_6: Final = 231
F_SHL_rm8_imm8_C0_6: Final = 232
F_SHL_rm16_1_D1_6: Final = 233
F_SHL_rm16_CL_D3_6: Final = 234
F_SHL_rm16_imm8_C1_6: Final = 235
F_SHL_rm32_1_D1_6: Final = 236
F_SHL_rm32_CL_D3_6: Final = 237
F_SHL_rm32_imm8_C1_6: Final = 238
F_SAR_rm8_1: Final = 239
F_SAR_rm8_CL: Final = 240
F_SAR_rm8_imm8: Final = 241
F_SAR_rm16_1: Final = 242
F_SAR_rm16_CL: Final = 243
F_SAR_rm16_imm8: Final = 244
F_SAR_rm32_1: Final = 245
F_SAR_rm32_CL: Final = 246
F_SAR_rm32_imm8: Final = 247
F_SHLD_rm16_r16_imm8: Final = 248
F_SHLD_rm16_r16_CL: Final = 249
F_SHLD_rm32_r32_imm8: Final = 250
F_SHLD_rm32_r32_CL: Final = 251
F_SHRD_rm16_r16_imm8: Final = 252
F_SHRD_rm16_r16_CL: Final = 253
F_SHRD_rm32_r32_imm8: Final = 254
F_SHRD_rm32_r32_CL: Final = 255
F_BT_rm16_r16: Final = 256
F_BT_rm32_r32: Final = 257
F_BT_rm16_imm8: Final = 258
F_BT_rm32_imm8: Final = 259
F_BTS_rm16_r16: Final = 260
F_BTS_rm32_r32: Final = 261
F_BTS_rm16_imm8: Final = 262
F_BTS_rm32_imm8: Final = 263
F_BTR_rm16_r16: Final = 264
F_BTR_rm32_r32: Final = 265
F_BTR_rm16_imm8: Final = 266
F_BTR_rm32_imm8: Final = 267
F_BTC_rm16_r16: Final = 268
F_BTC_rm32_r32: Final = 269
F_BTC_rm16_imm8: Final = 270
F_BTC_rm32_imm8: Final = 271
F_BSF_r16_rm16: Final = 272
F_BSF_r32_rm32: Final = 273
F_BSR_r16_rm16: Final = 274
F_BSR_r32_rm32: Final = 275
F_BSWAP_r16_0FC8: Final = 276
F_BSWAP_r32: Final = 277
F_SETO_rm8: Final = 278
F_SETNO_rm8: Final = 279
F_SETB_rm8: Final = 280
F_SETAE_rm8: Final = 281
F_SETE_rm8: Final = 282
F_SETNE_rm8: Final = 283
F_SETBE_rm8: Final = 284
F_SETA_rm8: Final = 285
F_SETS_rm8: Final = 286
F_SETNS_rm8: Final = 287
F_SETP_rm8: Final = 288
F_SETNP_rm8: Final = 289
F_SETL_rm8: Final = 290
F_SETGE_rm8: Final = 291
F_SETLE_rm8: Final = 292
F_SETG_rm8: Final = 293
F_XCHG_rm8_r8: Final = 294
F_XCHG_rm16_r16: Final = 295
F_XCHG_rm32_r32: Final = 296
F_XCHG_AX_r16: Final = 297
F_XCHG_EAX_r32: Final = 298
F_XADD_rm8_r8: Final = 299
F_XADD_rm16_r16: Final = 300
F_XADD_rm32_r32: Final = 301
F_CMPXCHG_rm8_r8: Final = 302
F_CMPXCHG_rm16_r16: Final = 303
F_CMPXCHG_rm32_r32: Final = 304
F_CMPXCHG8B_m64: Final = 305
F_MOV_rm8_r8: Final = 306
F_MOV_rm16_r16: Final = 307
F_MOV_rm32_r32: Final = 308
F_MOV_r8_rm8: Final = 309
F_MOV_r16_rm16: Final = 310
F_MOV_r32_rm32: Final = 311
F_MOV_AL_moffs8: Final = 312
F_MOV_AX_moffs16: Final = 313
F_MOV_EAX_moffs32: Final = 314
F_MOV_moffs8_AL: Final = 315
F_MOV_moffs16_AX: Final = 316
F_MOV_moffs32_EAX: Final = 317
F_MOV_r8_imm8: Final = 318
F_MOV_r16_imm16: Final = 319
F_MOV_r32_imm32: Final = 320
F_MOV_rm8_imm8: Final = 321
F_MOV_rm16_imm16: Final = 322
F_MOV_rm32_imm32: Final = 323
F_MOV_rm16_Sreg: Final = 324
F_MOV_r32m16_Sreg: Final = 325
F_MOV_Sreg_rm16: Final = 326
F_MOVZX_r16_rm8: Final = 327
F_MOVZX_r32_rm8: Final = 328
F_MOVZX_r16_rm16_0FB7: Final = 329
F_MOVZX_r32_rm16: Final = 330
F_MOVSX_r16_rm8: Final = 331
F_MOVSX_r32_rm8: Final = 332
F_MOVSX_r16_rm16_0FBF: Final = 333
F_MOVSX_r32_rm16: Final = 334
F_CMOVO_r16_rm16: Final = 335
F_CMOVNO_r16_rm16: Final = 336
F_CMOVB_r16_rm16: Final = 337
F_CMOVAE_r16_rm16: Final = 338
F_CMOVE_r16_rm16: Final = 339
F_CMOVNE_r16_rm16: Final = 340
F_CMOVBE_r16_rm16: Final = 341
F_CMOVA_r16_rm16: Final = 342
F_CMOVS_r16_rm16: Final = 343
F_CMOVNS_r16_rm16: Final = 344
F_CMOVP_r16_rm16: Final = 345
F_CMOVNP_r16_rm16: Final = 346
F_CMOVL_r16_rm16: Final = 347
F_CMOVGE_r16_rm16: Final = 348
F_CMOVLE_r16_rm16: Final = 349
F_CMOVG_r16_rm16: Final = 350
F_CMOVO_r32_rm32: Final = 351
F_CMOVNO_r32_rm32: Final = 352
F_CMOVB_r32_rm32: Final = 353
F_CMOVAE_r32_rm32: Final = 354
F_CMOVE_r32_rm32: Final = 355
F_CMOVNE_r32_rm32: Final = 356
F_CMOVBE_r32_rm32: Final = 357
F_CMOVA_r32_rm32: Final = 358
F_CMOVS_r32_rm32: Final = 359
F_CMOVNS_r32_rm32: Final = 360
F_CMOVP_r32_rm32: Final = 361
F_CMOVNP_r32_rm32: Final = 362
F_CMOVL_r32_rm32: Final = 363
F_CMOVGE_r32_rm32: Final = 364
F_CMOVLE_r32_rm32: Final = 365
F_CMOVG_r32_rm32: Final = 366
F_LEA_r16_m: Final = 367
F_LEA_r32_m: Final = 368
F_XLATB: Final = 369
F_LES_r16_m16_16: Final = 370
F_LES_r32_m16_32: Final = 371
F_LDS_r16_m16_16: Final = 372
F_LDS_r32_m16_32: Final = 373
F_LSS_r16_m16_16: Final = 374
F_LSS_r32_m16_32: Final = 375
F_LFS_r16_m16_16: Final = 376
F_LFS_r32_m16_32: Final = 377
F_LGS_r16_m16_16: Final = 378
F_LGS_r32_m16_32: Final = 379
F_PUSH_rm16: Final = 380
F_PUSH_rm32: Final = 381
F_PUSH_r16: Final = 382
F_PUSH_r32: Final = 383
F_PUSH_imm8_o16: Final = 384
F_PUSH_imm8_o32: Final = 385
F_PUSH_imm16: Final = 386
F_PUSH_imm32: Final = 387
F_PUSH_ES_o16: Final = 388
F_PUSH_ES_o32: Final = 389
F_PUSH_CS_o16: Final = 390
F_PUSH_CS_o32: Final = 391
F_PUSH_SS_o16: Final = 392
F_PUSH_SS_o32: Final = 393
F_PUSH_DS_o16: Final = 394
F_PUSH_DS_o32: Final = 395
F_PUSH_FS_o16: Final = 396
F_PUSH_FS_o32: Final = 397
F_PUSH_GS_o16: Final = 398
F_PUSH_GS_o32: Final = 399
F_POP_rm16: Final = 400
F_POP_rm32: Final = 401
F_POP_r16: Final = 402
F_POP_r32: Final = 403
F_POP_ES_o16: Final = 404
F_POP_ES_o32: Final = 405
F_POP_SS_o16: Final = 406
F_POP_SS_o32: Final = 407
F_POP_DS_o16: Final = 408
F_POP_DS_o32: Final = 409
F_POP_FS_o16: Final = 410
F_POP_FS_o32: Final = 411
F_POP_GS_o16: Final = 412
F_POP_GS_o32: Final = 413
F_PUSHA: Final = 414
F_PUSHAD: Final = 415
F_POPA: Final = 416
F_POPAD: Final = 417
F_PUSHF: Final = 418
F_PUSHFD: Final = 419
F_POPF: Final = 420
F_POPFD: Final = 421
F_ENTER_imm16_imm8_o16: Final = 422
F_ENTER_imm16_imm8_o32: Final = 423
F_LEAVE_o16: Final = 424
F_LEAVE_o32: Final = 425
F_JO_rel8_o16: Final = 426
F_JNO_rel8_o16: Final = 427
F_JB_rel8_o16: Final = 428
F_JAE_rel8_o16: Final = 429
F_JE_rel8_o16: Final = 430
F_JNE_rel8_o16: Final = 431
F_JBE_rel8_o16: Final = 432
F_JA_rel8_o16: Final = 433
F_JS_rel8_o16: Final = 434
F_JNS_rel8_o16: Final = 435
F_JP_rel8_o16: Final = 436
F_JNP_rel8_o16: Final = 437
F_JL_rel8_o16: Final = 438
F_JGE_rel8_o16: Final = 439
F_JLE_rel8_o16: Final = 440
F_JG_rel8_o16: Final = 441
F_JO_rel8_o32: Final = 442
F_JNO_rel8_o32: Final = 443
F_JB_rel8_o32: Final = 444
F_JAE_rel8_o32: Final = 445
F_JE_rel8_o32: Final = 446
F_JNE_rel8_o32: Final = 447
F_JBE_rel8_o32: Final = 448
F_JA_rel8_o32: Final = 449
F_JS_rel8_o32: Final = 450
F_JNS_rel8_o32: Final = 451
F_JP_rel8_o32: Final = 452
F_JNP_rel8_o32: Final = 453
F_JL_rel8_o32: Final = 454
F_JGE_rel8_o32: Final = 455
F_JLE_rel8_o32: Final = 456
F_JG_rel8_o32: Final = 457
F_JO_rel16: Final = 458
F_JNO_rel16: Final = 459
F_JB_rel16: Final = 460
F_JAE_rel16: Final = 461
F_JE_rel16: Final = 462
F_JNE_rel16: Final = 463
F_JBE_rel16: Final = 464
F_JA_rel16: Final = 465
F_JS_rel16: Final = 466
F_JNS_rel16: Final = 467
F_JP_rel16: Final = 468
F_JNP_rel16: Final = 469
F_JL_rel16: Final = 470
F_JGE_rel16: Final = 471
F_JLE_rel16: Final = 472
F_JG_rel16: Final = 473
F_JO_rel32: Final = 474
F_JNO_rel32: Final = 475
F_JB_rel32: Final = 476
F_JAE_rel32: Final = 477
F_JE_rel32: Final = 478
F_JNE_rel32: Final = 479
F_JBE_rel32: Final = 480
F_JA_rel32: Final = 481
F_JS_rel32: Final = 482
F_JNS_rel32: Final = 483
F_JP_rel32: Final = 484
F_JNP_rel32: Final = 485
F_JL_rel32: Final = 486
F_JGE_rel32: Final = 487
F_JLE_rel32: Final = 488
F_JG_rel32: Final = 489
F_JCXZ_rel8_o16_a16: Final = 490
F_JCXZ_rel8_o32_a16: Final = 491
F_JECXZ_rel8_o16_a32: Final = 492
F_JECXZ_rel8_o32_a32: Final = 493
F_LOOPNE_rel8_o16: Final = 494
F_LOOPNE_rel8_o32: Final = 495
F_LOOPE_rel8_o16: Final = 496
F_LOOPE_rel8_o32: Final = 497
F_LOOP_rel8_o16: Final = 498
F_LOOP_rel8_o32: Final = 499
F_JMP_rel8_o16: Final = 500
F_JMP_rel8_o32: Final = 501
F_JMP_rel16: Final = 502
F_JMP_rel32: Final = 503
F_JMP_rm16: Final = 504
F_JMP_rm32: Final = 505
F_CALL_rel16: Final = 506
F_CALL_rel32: Final = 507
F_CALL_rm16: Final = 508
F_CALL_rm32: Final = 509
F_RET_o16: Final = 510
F_RET_o32: Final = 511
F_RET_imm16_o16: Final = 512
F_RET_imm16_o32: Final = 513
F_JMP_ptr16_16: Final = 514
F_JMP_ptr16_32: Final = 515
F_JMP_m16_16: Final = 516
F_JMP_m16_32: Final = 517
F_CALL_ptr16_16: Final = 518
F_CALL_ptr16_32: Final = 519
F_CALL_m16_16: Final = 520
F_CALL_m16_32: Final = 521
F_RETF_o16: Final = 522
F_RETF_o32: Final = 523
F_RETF_imm16_o16: Final = 524
F_RETF_imm16_o32: Final = 525
F_INT3: Final = 526
F_INT_imm8: Final = 527
F_INTO: Final = 528
F_INT1: Final = 529
F_IRET: Final = 530
F_IRETD: Final = 531
F_BOUND_r16_m16and16: Final = 532
F_BOUND_r32_m32and32: Final = 533
F_SYSENTER: Final = 534
F_SYSEXIT: Final = 535
F_MOVSB: Final = 536
F_MOVSW: Final = 537
F_MOVSD: Final = 538
F_CMPSB: Final = 539
F_CMPSW: Final = 540
F_CMPSD: Final = 541
F_STOSB: Final = 542
F_STOSW: Final = 543
F_STOSD: Final = 544
F_LODSB: Final = 545
F_LODSW: Final = 546
F_LODSD: Final = 547
F_SCASB: Final = 548
F_SCASW: Final = 549
F_SCASD: Final = 550
F_INSB: Final = 551
F_INSW: Final = 552
F_INSD: Final = 553
F_OUTSB: Final = 554
F_OUTSW: Final = 555
F_OUTSD: Final = 556
F_IN_AL_imm8: Final = 557
F_IN_AX_imm8: Final = 558
F_IN_EAX_imm8: Final = 559
F_IN_AL_DX: Final = 560
F_IN_AX_DX: Final = 561
F_IN_EAX_DX: Final = 562
F_OUT_imm8_AL: Final = 563
F_OUT_imm8_AX: Final = 564
F_OUT_imm8_EAX: Final = 565
F_OUT_DX_AL: Final = 566
F_OUT_DX_AX: Final = 567
F_OUT_DX_EAX: Final = 568
F_CLC: Final = 569
F_STC: Final = 570
F_CMC: Final = 571
F_CLD: Final = 572
F_STD: Final = 573
F_CLI: Final = 574
F_STI: Final = 575
F_LAHF: Final = 576
F_SAHF: Final = 577
F_SALC: Final = 578
F_HLT: Final = 579
F_WAIT: Final = 580
F_ESC_rm16_D8_0: Final = 581
F_ESC_rm16_D9_0: Final = 582
F_ESC_rm16_DA_0: Final = 583
F_ESC_rm16_DB_0: Final = 584
F_ESC_rm16_DC_0: Final = 585
F_ESC_rm16_DD_0: Final = 586
F_ESC_rm16_DE_0: Final = 587
F_ESC_rm16_DF_0: Final = 588
F_NOP: Final = 589
F_PAUSE: Final = 590
F_NOP_rm16: Final = 591
F_NOP_rm32: Final = 592
F_NOP_rm16_0F1F_1: Final = 593
F_NOP_rm32_0F1F_1: Final = 594
F_NOP_rm16_0F18_0: Final = 595
F_NOP_rm32_0F18_0: Final = 596
F_NOP_rm16_0F19_0: Final = 597
F_NOP_rm32_0F19_0: Final = 598
F_NOP_rm16_0F1A_0: Final = 599
F_NOP_rm32_0F1A_0: Final = 600
F_NOP_rm16_0F1B_0: Final = 601
F_NOP_rm32_0F1B_0: Final = 602
F_NOP_rm16_0F1C_0: Final = 603
F_NOP_rm32_0F1C_0: Final = 604
F_NOP_rm16_0F1D_0: Final = 605
F_NOP_rm32_0F1D_0: Final = 606
F_NOP_rm16_0F1E_0: Final = 607
F_NOP_rm32_0F1E_0: Final = 608
F_UD0_r32_rm32: Final = 609
F_UD1_r32_rm32: Final = 610
F_UD2: Final = 611
F_CPUID: Final = 612
F_RDTSC: Final = 613
F_RDPMC: Final = 614
F_RDMSR: Final = 615
F_WRMSR: Final = 616
F_MOV_r32_CR: Final = 617
F_MOV_CR_r32: Final = 618
F_MOV_r32_DR: Final = 619
F_MOV_DR_r32: Final = 620
F_CLTS: Final = 621
F_LMSW_rm16: Final = 622
F_SMSW_rm16: Final = 623
F_SMSW_r32m16: Final = 624
F_INVD: Final = 625
F_WBINVD: Final = 626
F_INVLPG_m: Final = 627
F_SGDT_m16and32_o16: Final = 628
F_SGDT_m16and32_o32: Final = 629
F_SIDT_m16and32_o16: Final = 630
F_SIDT_m16and32_o32: Final = 631
F_LGDT_m16and32_o16: Final = 632
F_LGDT_m16and32_o32: Final = 633
F_LIDT_m16and32_o16: Final = 634
F_LIDT_m16and32_o32: Final = 635
F_SLDT_rm16: Final = 636
F_SLDT_r32m16: Final = 637
F_STR_rm16: Final = 638
F_STR_r32m16: Final = 639
F_LLDT_rm16: Final = 640
F_LTR_rm16: Final = 641
F_VERR_rm16: Final = 642
F_VERW_rm16: Final = 643
F_LAR_r16_rm16: Final = 644
F_LAR_r32_r32m16: Final = 645
F_LSL_r16_rm16: Final = 646
F_LSL_r32_r32m16: Final = 647
F_ARPL_rm16_r16: Final = 648
F_TRAPDOOR_imm8: Final = 649

OPERATION_COUNT: Final = 146
O_NONE: Final = 0
O_ADD: Final = 1
O_OR: Final = 2
O_ADC: Final = 3
O_SBB: Final = 4
O_AND: Final = 5
O_SUB: Final = 6
O_XOR: Final = 7
O_CMP: Final = 8
O_TEST: Final = 9
O_INC: Final = 10
O_DEC: Final = 11
O_NOT: Final = 12
O_NEG: Final = 13
O_MUL: Final = 14
O_IMUL1: Final = 15
O_DIV: Final = 16
O_IDIV: Final = 17
O_IMUL: Final = 18
O_DAA: Final = 19
O_DAS: Final = 20
O_AAA: Final = 21
O_AAS: Final = 22
O_AAM: Final = 23
O_AAD: Final = 24
O_CBW: Final = 25
O_CWDE: Final = 26
O_CWD: Final = 27
O_CDQ: Final = 28
O_ROL: Final = 29
O_ROR: Final = 30
O_RCL: Final = 31
O_RCR: Final = 32
O_SHL: Final = 33
O_SHR: Final = 34
O_SAR: Final = 35
O_SHLD: Final = 36
O_SHRD: Final = 37
O_BT: Final = 38
O_BTS: Final = 39
O_BTR: Final = 40
O_BTC: Final = 41
O_BSF: Final = 42
O_BSR: Final = 43
O_BSWAP: Final = 44
O_SETCC: Final = 45
O_XCHG: Final = 46
O_XADD: Final = 47
O_CMPXCHG: Final = 48
O_CMPXCHG8B: Final = 49
O_MOV: Final = 50
O_MOV_FROM_SREG: Final = 51
O_MOV_TO_SREG: Final = 52
O_MOVZX: Final = 53
O_MOVSX: Final = 54
O_CMOVCC: Final = 55
O_LEA: Final = 56
O_XLATB: Final = 57
O_LOAD_FAR: Final = 58
O_PUSH: Final = 59
O_PUSH_SREG: Final = 60
O_POP: Final = 61
O_POP_SREG: Final = 62
O_PUSHA: Final = 63
O_POPA: Final = 64
O_PUSHF: Final = 65
O_POPF: Final = 66
O_ENTER: Final = 67
O_LEAVE: Final = 68
O_JCC: Final = 69
O_JCXZ: Final = 70
O_LOOPNE: Final = 71
O_LOOPE: Final = 72
O_LOOP: Final = 73
O_JMP: Final = 74
O_JMP_INDIRECT: Final = 75
O_CALL: Final = 76
O_CALL_INDIRECT: Final = 77
O_RET: Final = 78
O_JMP_FAR: Final = 79
O_CALL_FAR: Final = 80
O_RET_FAR: Final = 81
O_INT3: Final = 82
O_INT: Final = 83
O_INTO: Final = 84
O_INT1: Final = 85
O_IRET: Final = 86
O_BOUND: Final = 87
O_SYSENTER: Final = 88
O_SYSEXIT: Final = 89
O_MOVS: Final = 90
O_CMPS: Final = 91
O_STOS: Final = 92
O_LODS: Final = 93
O_SCAS: Final = 94
O_INS: Final = 95
O_OUTS: Final = 96
O_IN: Final = 97
O_OUT: Final = 98
O_CLC: Final = 99
O_STC: Final = 100
O_CMC: Final = 101
O_CLD: Final = 102
O_STD: Final = 103
O_CLI: Final = 104
O_STI: Final = 105
O_LAHF: Final = 106
O_SAHF: Final = 107
O_SALC: Final = 108
O_HLT: Final = 109
O_WAIT: Final = 110
O_ESC: Final = 111
O_NOP: Final = 112
O_PAUSE: Final = 113
O_UD0: Final = 114
O_UD1: Final = 115
O_UD2: Final = 116
O_CPUID: Final = 117
O_RDTSC: Final = 118
O_RDPMC: Final = 119
O_RDMSR: Final = 120
O_WRMSR: Final = 121
O_MOV_FROM_CR: Final = 122
O_MOV_TO_CR: Final = 123
O_MOV_FROM_DR: Final = 124
O_MOV_TO_DR: Final = 125
O_CLTS: Final = 126
O_LMSW: Final = 127
O_SMSW: Final = 128
O_INVD: Final = 129
O_WBINVD: Final = 130
O_INVLPG: Final = 131
O_SGDT: Final = 132
O_SIDT: Final = 133
O_LGDT: Final = 134
O_LIDT: Final = 135
O_SLDT: Final = 136
O_STR: Final = 137
O_LLDT: Final = 138
O_LTR: Final = 139
O_VERR: Final = 140
O_VERW: Final = 141
O_LAR: Final = 142
O_LSL: Final = 143
O_ARPL: Final = 144
O_TRAPDOOR: Final = 145

FORM_NAMES: Final[tuple[str, ...]] = (
    "ADD_AL_imm8",
    "ADD_AX_imm16",
    "ADD_EAX_imm32",
    "ADD_rm8_imm8",
    "ADD_rm8_imm8_82_0",
    "ADD_rm16_imm16",
    "ADD_rm32_imm32",
    "ADD_rm16_imm8",
    "ADD_rm32_imm8",
    "ADD_rm8_r8",
    "ADD_rm16_r16",
    "ADD_rm32_r32",
    "ADD_r8_rm8",
    "ADD_r16_rm16",
    "ADD_r32_rm32",
    "OR_AL_imm8",
    "OR_AX_imm16",
    "OR_EAX_imm32",
    "OR_rm8_imm8",
    "OR_rm8_imm8_82_1",
    "OR_rm16_imm16",
    "OR_rm32_imm32",
    "OR_rm16_imm8",
    "OR_rm32_imm8",
    "OR_rm8_r8",
    "OR_rm16_r16",
    "OR_rm32_r32",
    "OR_r8_rm8",
    "OR_r16_rm16",
    "OR_r32_rm32",
    "ADC_AL_imm8",
    "ADC_AX_imm16",
    "ADC_EAX_imm32",
    "ADC_rm8_imm8",
    "ADC_rm8_imm8_82_2",
    "ADC_rm16_imm16",
    "ADC_rm32_imm32",
    "ADC_rm16_imm8",
    "ADC_rm32_imm8",
    "ADC_rm8_r8",
    "ADC_rm16_r16",
    "ADC_rm32_r32",
    "ADC_r8_rm8",
    "ADC_r16_rm16",
    "ADC_r32_rm32",
    "SBB_AL_imm8",
    "SBB_AX_imm16",
    "SBB_EAX_imm32",
    "SBB_rm8_imm8",
    "SBB_rm8_imm8_82_3",
    "SBB_rm16_imm16",
    "SBB_rm32_imm32",
    "SBB_rm16_imm8",
    "SBB_rm32_imm8",
    "SBB_rm8_r8",
    "SBB_rm16_r16",
    "SBB_rm32_r32",
    "SBB_r8_rm8",
    "SBB_r16_rm16",
    "SBB_r32_rm32",
    "AND_AL_imm8",
    "AND_AX_imm16",
    "AND_EAX_imm32",
    "AND_rm8_imm8",
    "AND_rm8_imm8_82_4",
    "AND_rm16_imm16",
    "AND_rm32_imm32",
    "AND_rm16_imm8",
    "AND_rm32_imm8",
    "AND_rm8_r8",
    "AND_rm16_r16",
    "AND_rm32_r32",
    "AND_r8_rm8",
    "AND_r16_rm16",
    "AND_r32_rm32",
    "SUB_AL_imm8",
    "SUB_AX_imm16",
    "SUB_EAX_imm32",
    "SUB_rm8_imm8",
    "SUB_rm8_imm8_82_5",
    "SUB_rm16_imm16",
    "SUB_rm32_imm32",
    "SUB_rm16_imm8",
    "SUB_rm32_imm8",
    "SUB_rm8_r8",
    "SUB_rm16_r16",
    "SUB_rm32_r32",
    "SUB_r8_rm8",
    "SUB_r16_rm16",
    "SUB_r32_rm32",
    "XOR_AL_imm8",
    "XOR_AX_imm16",
    "XOR_EAX_imm32",
    "XOR_rm8_imm8",
    "XOR_rm8_imm8_82_6",
    "XOR_rm16_imm16",
    "XOR_rm32_imm32",
    "XOR_rm16_imm8",
    "XOR_rm32_imm8",
    "XOR_rm8_r8",
    "XOR_rm16_r16",
    "XOR_rm32_r32",
    "XOR_r8_rm8",
    "XOR_r16_rm16",
    "XOR_r32_rm32",
    "CMP_AL_imm8",
    "CMP_AX_imm16",
    "CMP_EAX_imm32",
    "CMP_rm8_imm8",
    "CMP_rm8_imm8_82_7",
    "CMP_rm16_imm16",
    "CMP_rm32_imm32",
    "CMP_rm16_imm8",
    "CMP_rm32_imm8",
    "CMP_rm8_r8",
    "CMP_rm16_r16",
    "CMP_rm32_r32",
    "CMP_r8_rm8",
    "CMP_r16_rm16",
    "CMP_r32_rm32",
    "TEST_AL_imm8",
    "TEST_AX_imm16",
    "TEST_EAX_imm32",
    "TEST_rm8_imm8",
    "TEST_rm8_imm8_F6_1",
    "TEST_rm16_imm16",
    "TEST_rm16_imm16_F7_1",
    "TEST_rm32_imm32",
    "TEST_rm32_imm32_F7_1",
    "TEST_rm8_r8",
    "TEST_rm16_r16",
    "TEST_rm32_r32",
    "INC_rm8",
    "INC_rm16",
    "INC_rm32",
    "INC_r16",
    "INC_r32",
    "DEC_rm8",
    "DEC_rm16",
    "DEC_rm32",
    "DEC_r16",
    "DEC_r32",
    "NOT_rm8",
    "NOT_rm16",
    "NOT_rm32",
    "NEG_rm8",
    "NEG_rm16",
    "NEG_rm32",
    "MUL_rm8",
    "MUL_rm16",
    "MUL_rm32",
    "IMUL_rm8",
    "IMUL_rm16",
    "IMUL_rm32",
    "DIV_rm8",
    "DIV_rm16",
    "DIV_rm32",
    "IDIV_rm8",
    "IDIV_rm16",
    "IDIV_rm32",
    "IMUL_r16_rm16",
    "IMUL_r32_rm32",
    "IMUL_r16_rm16_imm8",
    "IMUL_r32_rm32_imm8",
    "IMUL_r16_rm16_imm16",
    "IMUL_r32_rm32_imm32",
    "DAA",
    "DAS",
    "AAA",
    "AAS",
    "AAM_imm8",
    "AAD_imm8",
    "CBW",
    "CWDE",
    "CWD",
    "CDQ",
    "ROL_rm8_1",
    "ROL_rm8_CL",
    "ROL_rm8_imm8",
    "ROL_rm16_1",
    "ROL_rm16_CL",
    "ROL_rm16_imm8",
    "ROL_rm32_1",
    "ROL_rm32_CL",
    "ROL_rm32_imm8",
    "ROR_rm8_1",
    "ROR_rm8_CL",
    "ROR_rm8_imm8",
    "ROR_rm16_1",
    "ROR_rm16_CL",
    "ROR_rm16_imm8",
    "ROR_rm32_1",
    "ROR_rm32_CL",
    "ROR_rm32_imm8",
    "RCL_rm8_1",
    "RCL_rm8_CL",
    "RCL_rm8_imm8",
    "RCL_rm16_1",
    "RCL_rm16_CL",
    "RCL_rm16_imm8",
    "RCL_rm32_1",
    "RCL_rm32_CL",
    "RCL_rm32_imm8",
    "RCR_rm8_1",
    "RCR_rm8_CL",
    "RCR_rm8_imm8",
    "RCR_rm16_1",
    "RCR_rm16_CL",
    "RCR_rm16_imm8",
    "RCR_rm32_1",
    "RCR_rm32_CL",
    "RCR_rm32_imm8",
    "SHL_rm8_1",
    "SHL_rm8_CL",
    "SHL_rm8_imm8",
    "SHL_rm16_1",
    "SHL_rm16_CL",
    "SHL_rm16_imm8",
    "SHL_rm32_1",
    "SHL_rm32_CL",
    "SHL_rm32_imm8",
    "SHR_rm8_1",
    "SHR_rm8_CL",
    "SHR_rm8_imm8",
    "SHR_rm16_1",
    "SHR_rm16_CL",
    "SHR_rm16_imm8",
    "SHR_rm32_1",
    "SHR_rm32_CL",
    "SHR_rm32_imm8",
    "SHL_rm8_1_D0_6",
    "SHL_rm8_CL_D2_6",
    "SHL_rm8_imm8_C0_6",
    "SHL_rm16_1_D1_6",
    "SHL_rm16_CL_D3_6",
    "SHL_rm16_imm8_C1_6",
    "SHL_rm32_1_D1_6",
    "SHL_rm32_CL_D3_6",
    "SHL_rm32_imm8_C1_6",
    "SAR_rm8_1",
    "SAR_rm8_CL",
    "SAR_rm8_imm8",
    "SAR_rm16_1",
    "SAR_rm16_CL",
    "SAR_rm16_imm8",
    "SAR_rm32_1",
    "SAR_rm32_CL",
    "SAR_rm32_imm8",
    "SHLD_rm16_r16_imm8",
    "SHLD_rm16_r16_CL",
    "SHLD_rm32_r32_imm8",
    "SHLD_rm32_r32_CL",
    "SHRD_rm16_r16_imm8",
    "SHRD_rm16_r16_CL",
    "SHRD_rm32_r32_imm8",
    "SHRD_rm32_r32_CL",
    "BT_rm16_r16",
    "BT_rm32_r32",
    "BT_rm16_imm8",
    "BT_rm32_imm8",
    "BTS_rm16_r16",
    "BTS_rm32_r32",
    "BTS_rm16_imm8",
    "BTS_rm32_imm8",
    "BTR_rm16_r16",
    "BTR_rm32_r32",
    "BTR_rm16_imm8",
    "BTR_rm32_imm8",
    "BTC_rm16_r16",
    "BTC_rm32_r32",
    "BTC_rm16_imm8",
    "BTC_rm32_imm8",
    "BSF_r16_rm16",
    "BSF_r32_rm32",
    "BSR_r16_rm16",
    "BSR_r32_rm32",
    "BSWAP_r16_0FC8",
    "BSWAP_r32",
    "SETO_rm8",
    "SETNO_rm8",
    "SETB_rm8",
    "SETAE_rm8",
    "SETE_rm8",
    "SETNE_rm8",
    "SETBE_rm8",
    "SETA_rm8",
    "SETS_rm8",
    "SETNS_rm8",
    "SETP_rm8",
    "SETNP_rm8",
    "SETL_rm8",
    "SETGE_rm8",
    "SETLE_rm8",
    "SETG_rm8",
    "XCHG_rm8_r8",
    "XCHG_rm16_r16",
    "XCHG_rm32_r32",
    "XCHG_AX_r16",
    "XCHG_EAX_r32",
    "XADD_rm8_r8",
    "XADD_rm16_r16",
    "XADD_rm32_r32",
    "CMPXCHG_rm8_r8",
    "CMPXCHG_rm16_r16",
    "CMPXCHG_rm32_r32",
    "CMPXCHG8B_m64",
    "MOV_rm8_r8",
    "MOV_rm16_r16",
    "MOV_rm32_r32",
    "MOV_r8_rm8",
    "MOV_r16_rm16",
    "MOV_r32_rm32",
    "MOV_AL_moffs8",
    "MOV_AX_moffs16",
    "MOV_EAX_moffs32",
    "MOV_moffs8_AL",
    "MOV_moffs16_AX",
    "MOV_moffs32_EAX",
    "MOV_r8_imm8",
    "MOV_r16_imm16",
    "MOV_r32_imm32",
    "MOV_rm8_imm8",
    "MOV_rm16_imm16",
    "MOV_rm32_imm32",
    "MOV_rm16_Sreg",
    "MOV_r32m16_Sreg",
    "MOV_Sreg_rm16",
    "MOVZX_r16_rm8",
    "MOVZX_r32_rm8",
    "MOVZX_r16_rm16_0FB7",
    "MOVZX_r32_rm16",
    "MOVSX_r16_rm8",
    "MOVSX_r32_rm8",
    "MOVSX_r16_rm16_0FBF",
    "MOVSX_r32_rm16",
    "CMOVO_r16_rm16",
    "CMOVNO_r16_rm16",
    "CMOVB_r16_rm16",
    "CMOVAE_r16_rm16",
    "CMOVE_r16_rm16",
    "CMOVNE_r16_rm16",
    "CMOVBE_r16_rm16",
    "CMOVA_r16_rm16",
    "CMOVS_r16_rm16",
    "CMOVNS_r16_rm16",
    "CMOVP_r16_rm16",
    "CMOVNP_r16_rm16",
    "CMOVL_r16_rm16",
    "CMOVGE_r16_rm16",
    "CMOVLE_r16_rm16",
    "CMOVG_r16_rm16",
    "CMOVO_r32_rm32",
    "CMOVNO_r32_rm32",
    "CMOVB_r32_rm32",
    "CMOVAE_r32_rm32",
    "CMOVE_r32_rm32",
    "CMOVNE_r32_rm32",
    "CMOVBE_r32_rm32",
    "CMOVA_r32_rm32",
    "CMOVS_r32_rm32",
    "CMOVNS_r32_rm32",
    "CMOVP_r32_rm32",
    "CMOVNP_r32_rm32",
    "CMOVL_r32_rm32",
    "CMOVGE_r32_rm32",
    "CMOVLE_r32_rm32",
    "CMOVG_r32_rm32",
    "LEA_r16_m",
    "LEA_r32_m",
    "XLATB",
    "LES_r16_m16_16",
    "LES_r32_m16_32",
    "LDS_r16_m16_16",
    "LDS_r32_m16_32",
    "LSS_r16_m16_16",
    "LSS_r32_m16_32",
    "LFS_r16_m16_16",
    "LFS_r32_m16_32",
    "LGS_r16_m16_16",
    "LGS_r32_m16_32",
    "PUSH_rm16",
    "PUSH_rm32",
    "PUSH_r16",
    "PUSH_r32",
    "PUSH_imm8_o16",
    "PUSH_imm8_o32",
    "PUSH_imm16",
    "PUSH_imm32",
    "PUSH_ES_o16",
    "PUSH_ES_o32",
    "PUSH_CS_o16",
    "PUSH_CS_o32",
    "PUSH_SS_o16",
    "PUSH_SS_o32",
    "PUSH_DS_o16",
    "PUSH_DS_o32",
    "PUSH_FS_o16",
    "PUSH_FS_o32",
    "PUSH_GS_o16",
    "PUSH_GS_o32",
    "POP_rm16",
    "POP_rm32",
    "POP_r16",
    "POP_r32",
    "POP_ES_o16",
    "POP_ES_o32",
    "POP_SS_o16",
    "POP_SS_o32",
    "POP_DS_o16",
    "POP_DS_o32",
    "POP_FS_o16",
    "POP_FS_o32",
    "POP_GS_o16",
    "POP_GS_o32",
    "PUSHA",
    "PUSHAD",
    "POPA",
    "POPAD",
    "PUSHF",
    "PUSHFD",
    "POPF",
    "POPFD",
    "ENTER_imm16_imm8_o16",
    "ENTER_imm16_imm8_o32",
    "LEAVE_o16",
    "LEAVE_o32",
    "JO_rel8_o16",
    "JNO_rel8_o16",
    "JB_rel8_o16",
    "JAE_rel8_o16",
    "JE_rel8_o16",
    "JNE_rel8_o16",
    "JBE_rel8_o16",
    "JA_rel8_o16",
    "JS_rel8_o16",
    "JNS_rel8_o16",
    "JP_rel8_o16",
    "JNP_rel8_o16",
    "JL_rel8_o16",
    "JGE_rel8_o16",
    "JLE_rel8_o16",
    "JG_rel8_o16",
    "JO_rel8_o32",
    "JNO_rel8_o32",
    "JB_rel8_o32",
    "JAE_rel8_o32",
    "JE_rel8_o32",
    "JNE_rel8_o32",
    "JBE_rel8_o32",
    "JA_rel8_o32",
    "JS_rel8_o32",
    "JNS_rel8_o32",
    "JP_rel8_o32",
    "JNP_rel8_o32",
    "JL_rel8_o32",
    "JGE_rel8_o32",
    "JLE_rel8_o32",
    "JG_rel8_o32",
    "JO_rel16",
    "JNO_rel16",
    "JB_rel16",
    "JAE_rel16",
    "JE_rel16",
    "JNE_rel16",
    "JBE_rel16",
    "JA_rel16",
    "JS_rel16",
    "JNS_rel16",
    "JP_rel16",
    "JNP_rel16",
    "JL_rel16",
    "JGE_rel16",
    "JLE_rel16",
    "JG_rel16",
    "JO_rel32",
    "JNO_rel32",
    "JB_rel32",
    "JAE_rel32",
    "JE_rel32",
    "JNE_rel32",
    "JBE_rel32",
    "JA_rel32",
    "JS_rel32",
    "JNS_rel32",
    "JP_rel32",
    "JNP_rel32",
    "JL_rel32",
    "JGE_rel32",
    "JLE_rel32",
    "JG_rel32",
    "JCXZ_rel8_o16_a16",
    "JCXZ_rel8_o32_a16",
    "JECXZ_rel8_o16_a32",
    "JECXZ_rel8_o32_a32",
    "LOOPNE_rel8_o16",
    "LOOPNE_rel8_o32",
    "LOOPE_rel8_o16",
    "LOOPE_rel8_o32",
    "LOOP_rel8_o16",
    "LOOP_rel8_o32",
    "JMP_rel8_o16",
    "JMP_rel8_o32",
    "JMP_rel16",
    "JMP_rel32",
    "JMP_rm16",
    "JMP_rm32",
    "CALL_rel16",
    "CALL_rel32",
    "CALL_rm16",
    "CALL_rm32",
    "RET_o16",
    "RET_o32",
    "RET_imm16_o16",
    "RET_imm16_o32",
    "JMP_ptr16_16",
    "JMP_ptr16_32",
    "JMP_m16_16",
    "JMP_m16_32",
    "CALL_ptr16_16",
    "CALL_ptr16_32",
    "CALL_m16_16",
    "CALL_m16_32",
    "RETF_o16",
    "RETF_o32",
    "RETF_imm16_o16",
    "RETF_imm16_o32",
    "INT3",
    "INT_imm8",
    "INTO",
    "INT1",
    "IRET",
    "IRETD",
    "BOUND_r16_m16and16",
    "BOUND_r32_m32and32",
    "SYSENTER",
    "SYSEXIT",
    "MOVSB",
    "MOVSW",
    "MOVSD",
    "CMPSB",
    "CMPSW",
    "CMPSD",
    "STOSB",
    "STOSW",
    "STOSD",
    "LODSB",
    "LODSW",
    "LODSD",
    "SCASB",
    "SCASW",
    "SCASD",
    "INSB",
    "INSW",
    "INSD",
    "OUTSB",
    "OUTSW",
    "OUTSD",
    "IN_AL_imm8",
    "IN_AX_imm8",
    "IN_EAX_imm8",
    "IN_AL_DX",
    "IN_AX_DX",
    "IN_EAX_DX",
    "OUT_imm8_AL",
    "OUT_imm8_AX",
    "OUT_imm8_EAX",
    "OUT_DX_AL",
    "OUT_DX_AX",
    "OUT_DX_EAX",
    "CLC",
    "STC",
    "CMC",
    "CLD",
    "STD",
    "CLI",
    "STI",
    "LAHF",
    "SAHF",
    "SALC",
    "HLT",
    "WAIT",
    "ESC_rm16_D8_0",
    "ESC_rm16_D9_0",
    "ESC_rm16_DA_0",
    "ESC_rm16_DB_0",
    "ESC_rm16_DC_0",
    "ESC_rm16_DD_0",
    "ESC_rm16_DE_0",
    "ESC_rm16_DF_0",
    "NOP",
    "PAUSE",
    "NOP_rm16",
    "NOP_rm32",
    "NOP_rm16_0F1F_1",
    "NOP_rm32_0F1F_1",
    "NOP_rm16_0F18_0",
    "NOP_rm32_0F18_0",
    "NOP_rm16_0F19_0",
    "NOP_rm32_0F19_0",
    "NOP_rm16_0F1A_0",
    "NOP_rm32_0F1A_0",
    "NOP_rm16_0F1B_0",
    "NOP_rm32_0F1B_0",
    "NOP_rm16_0F1C_0",
    "NOP_rm32_0F1C_0",
    "NOP_rm16_0F1D_0",
    "NOP_rm32_0F1D_0",
    "NOP_rm16_0F1E_0",
    "NOP_rm32_0F1E_0",
    "UD0_r32_rm32",
    "UD1_r32_rm32",
    "UD2",
    "CPUID",
    "RDTSC",
    "RDPMC",
    "RDMSR",
    "WRMSR",
    "MOV_r32_CR",
    "MOV_CR_r32",
    "MOV_r32_DR",
    "MOV_DR_r32",
    "CLTS",
    "LMSW_rm16",
    "SMSW_rm16",
    "SMSW_r32m16",
    "INVD",
    "WBINVD",
    "INVLPG_m",
    "SGDT_m16and32_o16",
    "SGDT_m16and32_o32",
    "SIDT_m16and32_o16",
    "SIDT_m16and32_o32",
    "LGDT_m16and32_o16",
    "LGDT_m16and32_o32",
    "LIDT_m16and32_o16",
    "LIDT_m16and32_o32",
    "SLDT_rm16",
    "SLDT_r32m16",
    "STR_rm16",
    "STR_r32m16",
    "LLDT_rm16",
    "LTR_rm16",
    "VERR_rm16",
    "VERW_rm16",
    "LAR_r16_rm16",
    "LAR_r32_r32m16",
    "LSL_r16_rm16",
    "LSL_r32_r32m16",
    "ARPL_rm16_r16",
    "TRAPDOOR_imm8",
)

OPERATION_NAMES: Final[tuple[str, ...]] = (
    "NONE",
    "ADD",
    "OR",
    "ADC",
    "SBB",
    "AND",
    "SUB",
    "XOR",
    "CMP",
    "TEST",
    "INC",
    "DEC",
    "NOT",
    "NEG",
    "MUL",
    "IMUL1",
    "DIV",
    "IDIV",
    "IMUL",
    "DAA",
    "DAS",
    "AAA",
    "AAS",
    "AAM",
    "AAD",
    "CBW",
    "CWDE",
    "CWD",
    "CDQ",
    "ROL",
    "ROR",
    "RCL",
    "RCR",
    "SHL",
    "SHR",
    "SAR",
    "SHLD",
    "SHRD",
    "BT",
    "BTS",
    "BTR",
    "BTC",
    "BSF",
    "BSR",
    "BSWAP",
    "SETCC",
    "XCHG",
    "XADD",
    "CMPXCHG",
    "CMPXCHG8B",
    "MOV",
    "MOV_FROM_SREG",
    "MOV_TO_SREG",
    "MOVZX",
    "MOVSX",
    "CMOVCC",
    "LEA",
    "XLATB",
    "LOAD_FAR",
    "PUSH",
    "PUSH_SREG",
    "POP",
    "POP_SREG",
    "PUSHA",
    "POPA",
    "PUSHF",
    "POPF",
    "ENTER",
    "LEAVE",
    "JCC",
    "JCXZ",
    "LOOPNE",
    "LOOPE",
    "LOOP",
    "JMP",
    "JMP_INDIRECT",
    "CALL",
    "CALL_INDIRECT",
    "RET",
    "JMP_FAR",
    "CALL_FAR",
    "RET_FAR",
    "INT3",
    "INT",
    "INTO",
    "INT1",
    "IRET",
    "BOUND",
    "SYSENTER",
    "SYSEXIT",
    "MOVS",
    "CMPS",
    "STOS",
    "LODS",
    "SCAS",
    "INS",
    "OUTS",
    "IN",
    "OUT",
    "CLC",
    "STC",
    "CMC",
    "CLD",
    "STD",
    "CLI",
    "STI",
    "LAHF",
    "SAHF",
    "SALC",
    "HLT",
    "WAIT",
    "ESC",
    "NOP",
    "PAUSE",
    "UD0",
    "UD1",
    "UD2",
    "CPUID",
    "RDTSC",
    "RDPMC",
    "RDMSR",
    "WRMSR",
    "MOV_FROM_CR",
    "MOV_TO_CR",
    "MOV_FROM_DR",
    "MOV_TO_DR",
    "CLTS",
    "LMSW",
    "SMSW",
    "INVD",
    "WBINVD",
    "INVLPG",
    "SGDT",
    "SIDT",
    "LGDT",
    "LIDT",
    "SLDT",
    "STR",
    "LLDT",
    "LTR",
    "VERR",
    "VERW",
    "LAR",
    "LSL",
    "ARPL",
    "TRAPDOOR",
)
